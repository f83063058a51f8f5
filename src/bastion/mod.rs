//! The bastion: observe what stands, plan what is missing, apply it step by step, report.
