package cloudsim

import (
	"context"
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// An InstanceType is what instances can hold.
type InstanceType struct {
	Name string
	// MaxInterfaces is over all cards.
	MaxInterfaces int
	// IPv4PerInterface counts the primary one, and a prefix as one.
	IPv4PerInterface, IPv6PerInterface int
	// Members is how many interfaces can be members of trunks besides; 0 is that it
	// can have no trunk.
	Members int
	// Cards are how many interfaces each network card can hold.
	Cards      []int
	Hypervisor string // nitro or xen; empty for bare metal
	BareMetal  bool
	// Source is where the numbers are from.
	Source string
}

//go:embed itypes.tsv
var itypeText string

var itypes = sync.OnceValue(func() []InstanceType {
	var all []InstanceType
	for _, f := range rows(itypeText, 6) {
		number := func(text string) int {
			n, err := strconv.Atoi(text)
			if err != nil {
				panic("itypes.tsv: " + f[0] + ": " + err.Error())
			}
			return n
		}
		t := InstanceType{
			Name: f[0], IPv4PerInterface: number(f[1]), IPv6PerInterface: number(f[2]),
			Hypervisor: strings.Trim(f[4], "-"), BareMetal: f[4] == "-", Source: f[5],
		}
		for card := range strings.SplitSeq(f[3], ",") {
			t.Cards = append(t.Cards, number(card))
			t.MaxInterfaces += number(card)
		}
		all = append(all, t)
	}
	return all
})

// InstanceTypes is the table of types, with its sources.
func InstanceTypes() []InstanceType {
	all := slices.Clone(itypes())
	for i := range all {
		all[i].Cards = slices.Clone(all[i].Cards)
	}
	return all
}

var itypeFilters = filterTable[InstanceType]{
	"instance-type": func(t *InstanceType) []string { return one(t.Name) },
	"hypervisor":    func(t *InstanceType) []string { return one(t.Hypervisor) },
	"bare-metal":    func(t *InstanceType) []string { return one(strconv.FormatBool(t.BareMetal)) },
}

// DescribeInstanceTypes lists types; IDs are their names. Filters:
// instance-type, hypervisor, bare-metal.
func (c *Cloud) DescribeInstanceTypes(ctx context.Context, call Call, d Describe) (Page[InstanceType], error) {
	return describe(ctx, c, call, d, listing[InstanceType]{
		api: "DescribeInstanceTypes", most: 100, filters: itypeFilters,
		all: func(*turn) []numbered[InstanceType] {
			var all []numbered[InstanceType]
			for i := range c.opts.Types {
				v := &c.opts.Types[i]
				all = append(all, numbered[InstanceType]{n: i + 1, id: v.Name, v: v})
			}
			return all
		},
		missing: func(id string) error { return refuse("type.missing", id) },
	})
}
