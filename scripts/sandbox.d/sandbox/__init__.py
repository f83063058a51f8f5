"""`scripts/sandbox`: starts, stops and disturbs the stand-in for the cloud. Standard library only."""
