package eni

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

const (
	// subnetKept is for what never changes of a subnet; countKept for how many
	// addresses are free.
	subnetKept = 24 * time.Hour
	countKept  = 10 * time.Second
	// fullFor is how long a subnet is left alone that was full.
	fullFor = time.Minute
)

// A subnet is one as the cloud described it by then.
type subnet struct {
	Subnet
	by time.Time
}

// of returns those of the subnet's prefixes that addresses are from.
func (s Subnet) of(addrs []netip.Addr) []nic.Subnet {
	var all []nic.Subnet
	for _, n := range s.Nets {
		if slices.ContainsFunc(addrs, n.Prefix.Contains) {
			all = append(all, n)
		}
	}
	return all
}

func (s Subnet) contains(a netip.Addr) bool {
	return slices.ContainsFunc(s.Nets, func(n nic.Subnet) bool { return n.Prefix.Contains(a) })
}

func (p *Provider) subnetOf(ctx context.Context, id string) (subnet, error) {
	if s, ok := p.subnets.Get(id); ok {
		return s, nil
	}
	all, err := p.nets.Ask(ctx, id)
	if err != nil {
		return subnet{}, err
	}
	s, ok := all[id]
	if !ok {
		return subnet{}, noSubnet(id)
	}
	return s, nil
}

func noSubnet(id string) error {
	return &provider.Error{
		Kind: provider.ErrInvalid, Scope: provider.ScopeSubnet,
		Err: fmt.Errorf("no subnet %s: is it of this region and account, and may it be described?", id),
	}
}

// describeSubnets is one batch of questions for subnets. It misses what there is not.
func (p *Provider) describeSubnets(ctx context.Context, ids []string) (map[string]subnet, error) {
	got, err := p.cloud.Subnets(ctx, ids)
	if err != nil {
		return nil, err
	}
	all := map[string]subnet{}
	for id, s := range got {
		all[id] = subnet{s, time.Now()}
		p.subnets.Put(id, all[id])
	}
	return all, nil
}

// full is which subnets were full lately.
type full struct {
	mu    sync.Mutex
	until map[string]time.Time
}

func (f *full) block(subnet string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.until == nil {
		f.until = map[string]time.Time{}
	}
	f.until[subnet] = time.Now().Add(fullFor)
}

// blocked is how long the subnet is still left alone; 0 is not.
func (f *full) blocked(subnet string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, time.Until(f.until[subnet]))
}
