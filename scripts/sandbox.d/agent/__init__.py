"""The instance agent: watches the API and gives every running EC2 instance a real sshd."""
