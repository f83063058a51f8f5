"""The sandbox's AWS API: moto, with the manners of AWS that moto lacks."""
