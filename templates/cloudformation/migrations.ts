// The same with CDK (aws-cdk-lib 2): run scripts/build-lambda before `cdk deploy`.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { CustomResource, Duration } from "aws-cdk-lib";
import type { IVpc } from "aws-cdk-lib/aws-ec2";
import { Architecture, Code, Function, Runtime } from "aws-cdk-lib/aws-lambda";
import type { DatabaseCluster } from "aws-cdk-lib/aws-rds";
import type { Construct } from "constructs";

export function migrations(scope: Construct, vpc: IVpc, cluster: DatabaseCluster): CustomResource {
  const zip = "target/lambda/devdb-migrate-lambda.zip";
  const handler = new Function(scope, "MigrationsFunction", {
    runtime: Runtime.PROVIDED_AL2023,
    architecture: Architecture.X86_64, // of the machine that made the zip
    handler: "bootstrap",
    code: Code.fromAsset(zip),
    memorySize: 256,
    timeout: Duration.minutes(14),
    vpc,
    // No event changes what is set here: the right to invoke the function is no right to choose a database, to send the
    // secret to another host, or to undo it all.
    environment: {
      DEVDB_HOST: cluster.clusterEndpoint.hostname,
      DEVDB_SECRET_ARN: cluster.secret!.secretArn,
      DEVDB_ON_ROLLBACK: "keep", // "down": an older bundle undoes what it lacks; never where rows would be lost
      DEVDB_ON_DELETE: "keep", // "down", for preview stacks: undoes everything when the resource goes
    },
  });
  cluster.secret!.grantRead(handler);
  cluster.connections.allowDefaultPortFrom(handler);
  const migrations = new CustomResource(scope, "Migrations", {
    // The function answers CloudFormation itself. With `new Provider(…, { onEventHandler: handler }).serviceToken` the
    // provider framework answers for it.
    serviceToken: handler.functionArn,
    serviceTimeout: Duration.minutes(15),
    resourceType: "Custom::DevdbMigrations",
    properties: {
      // CloudFormation sends an Update only where a property has changed.
      Host: cluster.clusterEndpoint.hostname,
      MigrationsHash: createHash("sha256").update(readFileSync(zip)).digest("hex"),
    },
  });
  migrations.node.addDependency(cluster);
  return migrations;
}
