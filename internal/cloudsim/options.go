package cloudsim

import (
	"cmp"
	"time"
)

// Options shape a cloud. All are optional; the zero Options are a world where
// everything happens at once, nothing is hidden and nobody is throttled.
type Options struct {
	// Region is the only one there is; default "eu-central-1".
	Region string
	// Account owns what is made; default "111122223333".
	Account string
	// Seed decides ids, MACs and all durations.
	Seed    uint64
	Latency Latency
	Lag     Lag
	// Quotas default to DefaultQuotas.
	Quotas Quotas
	// Buckets are how often each API may be called, by API name; default is
	// any number. KnownBuckets are EC2's, as far as known.
	Buckets Buckets
	// Types are the instance types there are; default InstanceTypes.
	Types []InstanceType
	// Lenient takes what EC2 took once and refuses today, such as ids together
	// with MaxResults. A strict-validation fault ends it.
	Lenient bool
	// CardBug: where no card is said, an index is refused that is in use on any
	// card, as EC2 did until 2026.
	CardBug bool
	// EmptyPages: each listing of more than one page has an empty one that
	// carries a token.
	EmptyPages bool
	// AddressFirst: a create with a given address looks whether that is free
	// before it looks at its token, so that a retry is refused.
	AddressFirst bool
	// Asynchronous has what Alibaba Cloud has besides: an interface is available as
	// soon as it is made, unless something delays that, and is for a time being deleted;
	// public addresses take their time to be bound and unbound; and what is in between
	// two states is refused what it cannot do.
	Asynchronous bool
	// Words are what a face calls an error that a call of it ends in, for the log;
	// default is EC2's code.
	Words func(action string, e *Error) string
	// SmallestPage is how few results a page may be asked for; default 5.
	SmallestPage int
	// Reserved are the IPv4 addresses of each subnet that are nobody's; default is EC2's
	// first four and last one.
	Reserved Reserved
	// Prefixes are what ids begin with, by what EC2's do, such as subnet.
	Prefixes map[string]string
	// Policy says who may do what; default is everybody everything.
	Policy Policy
	// Plugger plugs interfaces into machines; default is memory alone.
	Plugger Plugger
}

// Reserved are so many addresses at each end of a subnet.
type Reserved struct{ First, Last int }

func (o Options) withDefaults() Options {
	if o.Reserved == (Reserved{}) {
		o.Reserved = Reserved{First: 4, Last: 1}
	}
	o.Region = cmp.Or(o.Region, "eu-central-1")
	o.Account = cmp.Or(o.Account, "111122223333")
	if o.Types == nil {
		o.Types = InstanceTypes()
	}
	o.SmallestPage = cmp.Or(o.SmallestPage, 5)
	d := DefaultQuotas()
	o.Quotas = Quotas{
		InterfacesPerGroup: o.Quotas.InterfacesPerGroup,
		HaVips:             cmp.Or(o.Quotas.HaVips, d.HaVips),
		HaVipMembers:       cmp.Or(o.Quotas.HaVipMembers, d.HaVipMembers),
		HaVipsPerInstance:  cmp.Or(o.Quotas.HaVipsPerInstance, d.HaVipsPerInstance),
		Interfaces:         cmp.Or(o.Quotas.Interfaces, d.Interfaces),
		Addresses:          cmp.Or(o.Quotas.Addresses, d.Addresses),
		GroupsPerInterface: cmp.Or(o.Quotas.GroupsPerInterface, d.GroupsPerInterface),
		TagsPerResource:    cmp.Or(o.Quotas.TagsPerResource, d.TagsPerResource),
		UnattachedIPv4:     cmp.Or(o.Quotas.UnattachedIPv4, d.UnattachedIPv4),
		UnattachedIPv6:     cmp.Or(o.Quotas.UnattachedIPv6, d.UnattachedIPv6),
	}
	return o
}

// A Range is a time between two bounds, drawn evenly.
type Range struct {
	Min time.Duration `json:"min" yaml:"min"`
	Max time.Duration `json:"max" yaml:"max"`
}

// Latency is how long each transition takes after its call has returned.
type Latency struct {
	Create, Attach, Detach, Start, Stop Range
	// Delete is of interfaces, and Bind of public and floating addresses, where the
	// cloud is Asynchronous; otherwise both take no time.
	Delete, Bind Range
}

// ObservedLatency is what people see of EC2: nothing is published.
func ObservedLatency() Latency {
	return Latency{
		Create: Range{800 * time.Millisecond, 800 * time.Millisecond},
		Attach: Range{3 * time.Second, 8 * time.Second},
		Detach: Range{5 * time.Second, 20 * time.Second},
		Start:  Range{10 * time.Second, 20 * time.Second},
		Stop:   Range{10 * time.Second, 30 * time.Second},
	}
}

// Lag is how far reads are behind writes.
type Lag struct {
	// Describe is drawn for each write: so long no describe shows it, and what
	// is new cannot be found by any call.
	Describe Range
	// Addresses is drawn besides for each write that adds addresses; half of
	// that time on, half of them show.
	Addresses Range
	// Metadata is drawn for each write: so long an instance's metadata do not
	// show it.
	Metadata Range
	// Callers are further behind by as much, by access key.
	Callers map[string]time.Duration
}
