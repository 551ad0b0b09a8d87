package ecs

import "net/netip"

type allocateAddress struct {
	Token         string `query:"ClientToken"`
	Name          string `query:"Name"`
	Description   string `query:"Description"`
	Bandwidth     string `query:"Bandwidth"`
	ChargeType    string `query:"InstanceChargeType"`
	TrafficCharge string `query:"InternetChargeType"`
	ISP           string `query:"ISP"`
	ResourceGroup string `query:"ResourceGroupId"`
}

type bindAddress struct {
	Allocation   string     `query:"AllocationId,required"`
	InstanceID   string     `query:"InstanceId"`
	InstanceType string     `query:"InstanceType"`
	Region       string     `query:"InstanceRegionId"`
	Private      netip.Addr `query:"PrivateIpAddress"`
	Mode         string     `query:"Mode"`
	VPCID        string     `query:"VpcId"`
	Token        string     `query:"ClientToken"`
	Dry          bool       `query:"DryRun"`
}

func (r *bindAddress) dryRun() bool { return r.Dry }

type unbindAddress struct {
	Allocation   string     `query:"AllocationId,required"`
	InstanceID   string     `query:"InstanceId"`
	InstanceType string     `query:"InstanceType"`
	Private      netip.Addr `query:"PrivateIpAddress"`
	Token        string     `query:"ClientToken"`
	Force        bool       `query:"Force"`
}

type releaseAddress struct {
	Allocation string `query:"AllocationId,required"`
}

type describeAddresses struct {
	numbered
	Allocation string `query:"AllocationId"` // or several, with commas
	Public     string `query:"EipAddress"`   // or several, with commas
	Name       string `query:"EipName"`
	Instance   string `query:"AssociatedInstanceId"`
	Kind       string `query:"AssociatedInstanceType"`
	Status     string `query:"Status"`
	Tags       []tag  `query:"Tag"`
}

type createHaVip struct {
	VSwitchID     string     `query:"VSwitchId,required"`
	Addr          netip.Addr `query:"IpAddress"`
	Name          string     `query:"Name"`
	Description   string     `query:"Description"`
	ResourceGroup string     `query:"ResourceGroupId"`
	Tags          []tag      `query:"Tag"`
	Token         string     `query:"ClientToken"`
}

type deleteHaVip struct {
	ID    string `query:"HaVipId,required"`
	Token string `query:"ClientToken"`
}

type bindHaVip struct {
	ID           string `query:"HaVipId,required"`
	InstanceID   string `query:"InstanceId,required"`
	InstanceType string `query:"InstanceType"`
	Token        string `query:"ClientToken"`
}

type unbindHaVip struct {
	bindHaVip
	Force string `query:"Force"`
}

type haVipFilter struct {
	Key    string   `query:"Key,required"`
	Values []string `query:"Value"`
}

type describeHaVips struct {
	numbered
	Filters       []haVipFilter `query:"Filter"`
	ResourceGroup string        `query:"ResourceGroupId"`
	Tags          []tag         `query:"Tags"`
}
