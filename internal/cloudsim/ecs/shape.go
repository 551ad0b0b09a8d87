package ecs

import (
	"cmp"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// Shape gives a cloud's options what is otherwise in this cloud than in EC2.
func Shape(o cloudsim.Options) cloudsim.Options {
	o.Region = cmp.Or(o.Region, "cn-hangzhou")
	o.Account = cmp.Or(o.Account, "1234567890123456")
	o.SmallestPage = 1
	o.Asynchronous = true
	o.Words = func(action string, e *cloudsim.Error) string { return refusalOf(action, e).Code }
	o.Reserved = cloudsim.Reserved{First: 1, Last: 3} // [D CreateVSwitch]
	o.Prefixes = map[string]string{"subnet": "vsw", "eipalloc": "eip"}
	if o.Types == nil {
		o.Types = InstanceTypes()
	}
	// 49 secondary addresses and 10 of IPv6 while nothing is attached [D].
	o.Quotas.UnattachedIPv4 = cmp.Or(o.Quotas.UnattachedIPv4, 50)
	o.Quotas.UnattachedIPv6 = cmp.Or(o.Quotas.UnattachedIPv6, 10)
	o.Quotas.TagsPerResource = cmp.Or(o.Quotas.TagsPerResource, 20)
	o.Quotas.InterfacesPerGroup = cmp.Or(o.Quotas.InterfacesPerGroup, 2000)
	o.Quotas.Addresses = cmp.Or(o.Quotas.Addresses, 20)
	return o
}

// ObservedLatency is what people see of ECS (K): nothing is published. Making an interface
// is documented to take no time.
func ObservedLatency() cloudsim.Latency {
	seconds := func(least, most time.Duration) cloudsim.Range {
		return cloudsim.Range{Min: least * time.Second, Max: most * time.Second}
	}
	return cloudsim.Latency{
		Attach: seconds(2, 10), Detach: seconds(2, 10), Delete: seconds(1, 3), Bind: seconds(1, 5),
		Start: seconds(10, 20), Stop: seconds(10, 30),
	}
}
