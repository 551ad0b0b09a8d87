package ecs

import (
	"cmp"
	_ "embed"
	"strconv"
	"strings"
	"sync"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// Shape gives a cloud's options what is otherwise in this cloud than in EC2.
func Shape(o cloudsim.Options) cloudsim.Options {
	o.Region = cmp.Or(o.Region, "cn-hangzhou")
	o.Account = cmp.Or(o.Account, "1234567890123456")
	o.SmallestPage = 1
	o.Prefixes = map[string]string{"subnet": "vsw", "eipalloc": "eip"}
	if o.Types == nil {
		o.Types = InstanceTypes()
	}
	// 49 secondary addresses and 10 of IPv6 while nothing is attached [D].
	o.Quotas.UnattachedIPv4 = cmp.Or(o.Quotas.UnattachedIPv4, 50)
	o.Quotas.UnattachedIPv6 = cmp.Or(o.Quotas.UnattachedIPv6, 10)
	o.Quotas.TagsPerResource = cmp.Or(o.Quotas.TagsPerResource, 20)
	o.Quotas.Addresses = cmp.Or(o.Quotas.Addresses, 20)
	return o
}

//go:embed itypes.tsv
var itypeText string

var itypes = sync.OnceValue(func() []cloudsim.InstanceType {
	var all []cloudsim.InstanceType
	for line := range strings.Lines(itypeText) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		var n [3]int
		for i := range n {
			var err error
			if n[i], err = strconv.Atoi(f[i+1]); err != nil {
				panic("itypes.tsv: " + line)
			}
		}
		all = append(all, cloudsim.InstanceType{
			Name: f[0], MaxInterfaces: n[0], Cards: []int{n[0]}, IPv4PerInterface: n[1], IPv6PerInterface: n[2],
			Hypervisor: "kvm", Source: f[4],
		})
	}
	return all
})

// InstanceTypes is the table of types, with its sources.
func InstanceTypes() []cloudsim.InstanceType { return append([]cloudsim.InstanceType{}, itypes()...) }
