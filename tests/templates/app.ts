// A stack as a team has it, with the migrations of templates/cloudformation in it.
import { App, Stack } from "aws-cdk-lib";
import { Vpc } from "aws-cdk-lib/aws-ec2";
import { AuroraPostgresEngineVersion, ClusterInstance, DatabaseCluster, DatabaseClusterEngine } from "aws-cdk-lib/aws-rds";
import { migrations } from "./migrations";

const app = new App({ outdir: "cdk.out" });
const stack = new Stack(app, "Shop");
const vpc = new Vpc(stack, "Vpc", { maxAzs: 2 });
const cluster = new DatabaseCluster(stack, "Database", {
  engine: DatabaseClusterEngine.auroraPostgres({ version: AuroraPostgresEngineVersion.VER_17_6 }),
  defaultDatabaseName: "shop",
  storageEncrypted: true,
  writer: ClusterInstance.serverlessV2("writer"),
  serverlessV2MinCapacity: 0,
  vpc,
});
migrations(stack, vpc, cluster);
app.synth();
