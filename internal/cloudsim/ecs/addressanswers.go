package ecs

type allocateAnswer struct {
	head
	Allocation string `json:"AllocationId"`
	Public     string `json:"EipAddress"`
}

type addressItem struct {
	Allocation string `json:"AllocationId"`
	Public     string `json:"IpAddress"`
	Name       string `json:"Name"`
	Status     string `json:"Status"`
	Instance   string `json:"InstanceId"`
	Kind       string `json:"InstanceType"`
	Private    string `json:"PrivateIpAddress"`
	Mode       string `json:"Mode"`
	Region     string `json:"RegionId"`
}

type addressesAnswer struct {
	head
	numberedPage
	Addresses struct {
		List []addressItem `json:"EipAddress"`
	} `json:"EipAddresses"`
}

type haVipAnswer struct {
	head
	ID   string `json:"HaVipId"`
	Addr string `json:"IpAddress"`
}

type haVipItem struct {
	ID          string `json:"HaVipId"`
	Name        string `json:"Name"`
	Description string `json:"Description"`
	Status      string `json:"Status"`
	Region      string `json:"RegionId"`
	VPC         string `json:"VpcId"`
	VSwitch     string `json:"VSwitchId"`
	Addr        string `json:"IpAddress"`
	Created     string `json:"CreateTime"`
	Master      string `json:"MasterInstanceId"`
	Kind        string `json:"AssociatedInstanceType"`
	Members     struct {
		IDs []string `json:"associatedInstance"`
	} `json:"AssociatedInstances"`
	Public struct {
		Addrs []string `json:"associatedEipAddresse"` // that spelling
	} `json:"AssociatedEipAddresses"`
	Tags struct {
		List []haVipTag `json:"Tag"`
	} `json:"Tags"`
}

type haVipTag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

type haVipsAnswer struct {
	head
	numberedPage
	HaVips struct {
		List []haVipItem `json:"HaVip"`
	} `json:"HaVips"`
}
