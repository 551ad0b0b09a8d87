package ec2

// machineParameters are what RunInstances takes and an instance here does not have.
func machineParameters() map[string]string {
	all := map[string]string{}
	for _, name := range []string{
		"AdditionalInfo", "BlockDeviceMapping", "CapacityReservationSpecification", "CpuOptions", "CreditSpecification",
		"DisableApiStop", "DisableApiTermination", "EbsOptimized", "ElasticGpuSpecification", "ElasticInferenceAccelerator",
		"EnclaveOptions", "HibernationOptions", "IamInstanceProfile", "InstanceInitiatedShutdownBehavior",
		"InstanceMarketOptions", "KernelId", "KeyName", "LaunchTemplate", "LicenseSpecification", "MaintenanceOptions",
		"MetadataOptions", "Monitoring", "NetworkPerformanceOptions", "Placement", "PrivateDnsNameOptions", "RamdiskId",
		"SecondaryInterface", "UserData",
	} {
		all[name] = noMachine
	}
	for _, name := range []string{"EnablePrimaryIpv6", "Ipv6Address", "Ipv6AddressCount", "PrivateIpAddress"} {
		all[name] = "a first interface is made with the subnet's defaults"
	}
	all["SecurityGroup"] = "groups are named by their ids in a VPC"
	all["Operator"] = noOperator
	for _, name := range []string{
		"AssociateCarrierIpAddress", "AssociatePublicIpAddress", "ConnectionTrackingSpecification", "DeleteOnTermination",
		"Description", "EnaQueueCount", "EnaSrdSpecification", "InterfaceType", "Ipv4Prefix", "Ipv4PrefixCount",
		"Ipv6AddressCount", "Ipv6Addresses", "Ipv6Prefix", "Ipv6PrefixCount", "NetworkCardIndex", "PrimaryIpv6",
		"PrivateIpAddress", "PrivateIpAddresses", "SecondaryPrivateIpAddressCount",
	} {
		all["NetworkInterface.N."+name] = "a first interface is made with the subnet's defaults; make others first"
	}
	return all
}
