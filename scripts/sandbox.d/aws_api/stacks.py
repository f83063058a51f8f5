"""CloudFormation's answers as AWS gives them: pages, and nested stacks that are known by their ARN."""

from moto.cloudformation.models import Stack
from moto.cloudformation.responses import CloudFormationResponse
from moto.core.responses import ActionResult

# CloudFormation API reference, "Quotas": a stack has up to 500 resources; a page of the list holds 100.
PAGE = 100


def patch_pages():
    """moto answers with everything at once."""
    original = CloudFormationResponse.list_stack_resources

    def list_stack_resources(self):
        result = original(self).result
        everything = result["StackResourceSummaries"]
        start = int(self._get_param("NextToken") or 0)
        result["StackResourceSummaries"] = everything[start : start + PAGE]
        if start + PAGE < len(everything):
            result["NextToken"] = str(start + PAGE)
        return ActionResult(result)

    CloudFormationResponse.list_stack_resources = list_stack_resources


def patch_nested_stacks():
    """moto calls a nested stack by its name."""
    Stack.physical_resource_id = property(lambda stack: stack.stack_id)


def install():
    patch_pages()
    patch_nested_stacks()
