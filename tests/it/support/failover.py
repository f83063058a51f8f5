"""Makes an instance the writer of its cluster: failover.py CLUSTER INSTANCE."""

import sys

import boto3

rds = boto3.client("rds")
(cluster,) = rds.describe_db_clusters(DBClusterIdentifier=sys.argv[1])["DBClusters"]
writers = [one["DBInstanceIdentifier"] for one in cluster["DBClusterMembers"] if one["IsClusterWriter"]]
if writers != [sys.argv[2]]:
    rds.failover_db_cluster(DBClusterIdentifier=sys.argv[1], TargetDBInstanceIdentifier=sys.argv[2])
