"""Makes the reader of a cluster its writer: failover.py CLUSTER."""

import sys

import boto3

rds = boto3.client("rds")
(cluster,) = rds.describe_db_clusters(DBClusterIdentifier=sys.argv[1])["DBClusters"]
(reader,) = [one["DBInstanceIdentifier"] for one in cluster["DBClusterMembers"] if not one["IsClusterWriter"]]
rds.failover_db_cluster(DBClusterIdentifier=sys.argv[1], TargetDBInstanceIdentifier=reader)
