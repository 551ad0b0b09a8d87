package aws

import (
	"context"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

const (
	typeKept = 24 * time.Hour
	// shippedKept is how long the shipped table is taken where EC2 did not say.
	shippedKept = time.Minute
)

// typeLimits are what instances of a type can hold, on network card 0.
type typeLimits struct{ nics, addrs int }

//go:embed limits.tsv
var shippedLimits string

// shipped is what the shipped table says of a type.
func shipped(kind string) (l typeLimits, ok bool) {
	_, row, found := strings.Cut(shippedLimits, "\n"+kind+"\t")
	if !found {
		return typeLimits{}, false
	}
	n, err := fmt.Sscanf(row, "%d\t%d\n", &l.nics, &l.addrs)
	return l, err == nil && n == 2
}

// Limits implements provider.Provider. They are those of network card 0, the only
// one that NICs are plugged into; what is not ours is counted too.
func (p *Provider) Limits(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	fail := p.failing("limits", "")
	m, err := p.machineOf(ctx, instance, provider.ErrNotFound)
	if err == nil && m.state == types.InstanceStateNameTerminated {
		err = noInstance(provider.ErrNotFound, instance)
	}
	if err != nil {
		return provider.Limits{}, fail(err)
	}
	l, err := p.limitsOf(ctx, m.kind)
	if err != nil {
		return provider.Limits{}, fail(err)
	}
	return provider.Limits{NICs: l.nics, AddrsPerNIC: l.addrs, Free: max(0, l.nics-len(m.used)), Slot: slotName}, nil
}

// Room implements provider.Roomy. What it remembers is a look and what we have plugged
// in since; an instance that we have unplugged something from is forgotten.
func (p *Provider) Room(ctx context.Context, instance nic.InstanceID, want int) (provider.Limits, error) {
	if m, ok := p.known.Get(instance); ok && m.state == types.InstanceStateNameRunning {
		l, ok := p.types.Get(m.kind)
		if free := l.nics - p.indexes.used(instance, m.used); ok && free >= want {
			return provider.Limits{NICs: l.nics, AddrsPerNIC: l.addrs, Free: free, Slot: slotName}, nil
		}
	}
	return p.Limits(ctx, instance)
}

// limitsOf is what EC2 says of a type, or else the shipped table.
func (p *Provider) limitsOf(ctx context.Context, kind string) (typeLimits, error) {
	if l, ok := p.types.Get(kind); ok {
		return l, nil
	}
	all, err := p.kinds.Ask(ctx, kind)
	if l, ok := all[kind]; ok {
		p.types.Put(kind, l)
		return l, nil
	}
	if ctx.Err() != nil {
		return typeLimits{}, provider.NoAnswer(ctx.Err())
	}
	l, ok := shipped(kind)
	switch {
	case ok:
		p.types.Keep(kind, l, shippedKept)
		p.opts.Log.Warn("EC2 does not say what an instance type can hold; the shipped table does", "type", kind, "nics", l.nics, "err", p.failing("limits", "")(err))
		return l, nil
	case err != nil:
		return typeLimits{}, err
	}
	return typeLimits{}, provider.Errorf(provider.ErrInvalid, "EC2 knows no instance type %q", kind)
}

// describeTypes is one batch of limitsOf.
func (p *Provider) describeTypes(ctx context.Context, kinds []string) (map[string]typeLimits, error) {
	out, err := send(ctx, p, apiDescribeTypes, p.api.DescribeInstanceTypes, &ec2.DescribeInstanceTypesInput{
		Filters: []types.Filter{{Name: aws.String("instance-type"), Values: kinds}},
	})
	if err != nil {
		return nil, err
	}
	all := map[string]typeLimits{}
	for _, t := range out.InstanceTypes {
		if l, ok := limitsFrom(t); ok {
			all[string(t.InstanceType)] = l
		}
	}
	return all, nil
}

func limitsFrom(t types.InstanceTypeInfo) (typeLimits, bool) {
	n := t.NetworkInfo
	if n == nil {
		return typeLimits{}, false
	}
	l := typeLimits{int(aws.ToInt32(n.MaximumNetworkInterfaces)), int(aws.ToInt32(n.Ipv4AddressesPerInterface))}
	for _, card := range n.NetworkCards {
		if aws.ToInt32(card.NetworkCardIndex) == 0 && card.MaximumNetworkInterfaces != nil {
			l.nics = int(*card.MaximumNetworkInterfaces)
		}
	}
	return l, l.nics > 0 && l.addrs > 0
}
