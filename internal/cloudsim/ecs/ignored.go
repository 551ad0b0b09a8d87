package ecs

// ignored are parameters that are taken without a word, with the reason: they shape what
// is not here. Those that would choose among things are refused instead, as everything
// else that the face does not know, unless the cloud is lenient.
var ignored = map[string]map[string]string{
	"CreateNetworkInterface":          cardsInside,
	"ModifyNetworkInterfaceAttribute": cardsInside,
	"DescribeInstances":               {"AdditionalAttributes": "an instance has no others"},
	"AllocateEipAddress": {
		"ActivityId": nothingPaid, "AutoPay": nothingPaid, "Period": nothingPaid, "PricingCycle": nothingPaid,
		"Netmode": "there is one", "PublicIpAddressPoolId": "there is one pool", "Zone": "an address is of all zones",
		"SecurityProtectionTypes": "nobody attacks",
	},
}

const nothingPaid = "nothing is paid here"

// cardsInside are the parameters of a card's inside, and of services that make cards.
var cardsInside = map[string]string{
	"QueuePairNumber": "a card has no queues", "RxQueueSize": "a card has no queues", "TxQueueSize": "a card has no queues",
	"ConnectionTrackingConfiguration": "nothing is tracked", "NetworkInterfaceTrafficConfig": "a card has no inside",
	"EnhancedNetwork": "a card has no inside", "BusinessType": "for the vendor's own services", "Visible": "for the vendor's own services",
}
