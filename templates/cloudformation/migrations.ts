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
      Host: cluster.clusterEndpoint.hostname,
      SecretArn: cluster.secret!.secretArn,
      // CloudFormation sends an Update only where a property has changed.
      MigrationsHash: createHash("sha256").update(readFileSync(zip)).digest("hex"),
    },
  });
  migrations.node.addDependency(cluster);
  return migrations;
}
