package aws

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// zoneKept is for the zone that an instance is in, which never changes.
const zoneKept = 24 * time.Hour

// machineKept is how long what EC2 said of an instance may stand for it, where that
// lets a NIC in: half as long as it is known which indexes were asked for since.
const machineKept = heldFor / 2

// A machine is an instance, as EC2 described it once.
type machine struct {
	zone, kind string
	state      types.InstanceStateName
	used       map[int]bool // the device indexes of card 0
}

// instanceID is what an instance's id looks like. A filter takes anything, and * for
// all.
var instanceID = regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`)

func noInstance(kind error, id nic.InstanceID) error {
	return &provider.Error{
		Kind: kind, Scope: provider.ScopeNode,
		Err: fmt.Errorf("no instance %s: is it of this region and account, and is that the id that the config gives its node?", id),
	}
}

// machineOf asks anew for an instance; there being none is of that kind.
func (p *Provider) machineOf(ctx context.Context, id nic.InstanceID, none error) (machine, error) {
	if !instanceID.MatchString(string(id)) {
		if err := ctx.Err(); err != nil {
			return machine{}, provider.NoAnswer(err)
		}
		return machine{}, noInstance(none, id)
	}
	all, err := p.machines.Ask(ctx, id)
	if err != nil {
		return machine{}, err
	}
	m, ok := all[id]
	if !ok {
		return machine{}, noInstance(none, id)
	}
	p.zones.Put(id, m.zone)
	p.known.Put(id, m)
	return m, nil
}

func (p *Provider) zoneOf(ctx context.Context, id nic.InstanceID) (string, error) {
	if zone, ok := p.zones.Get(id); ok {
		return zone, nil
	}
	m, err := p.machineOf(ctx, id, provider.ErrInvalid)
	return m.zone, err
}

// describeMachines is one batch of machineOf. It asks by a filter, because one
// unknown id fails a call by ids for all.
func (p *Provider) describeMachines(ctx context.Context, ids []nic.InstanceID) (map[nic.InstanceID]machine, error) {
	values := make([]string, len(ids))
	for i, id := range ids {
		values[i] = string(id)
	}
	in := &ec2.DescribeInstancesInput{
		Filters:    []types.Filter{{Name: aws.String("instance-id"), Values: values}},
		MaxResults: aws.Int32(maxPage),
	}
	got := map[nic.InstanceID]machine{}
	err := p.pages(ctx, apiDescribeInstances, func(token *string) (*string, error) {
		in.NextToken = token
		out, err := send(ctx, p, apiDescribeInstances, p.api.DescribeInstances, in)
		if err != nil {
			return nil, err
		}
		for _, r := range out.Reservations {
			for _, i := range r.Instances {
				got[nic.InstanceID(aws.ToString(i.InstanceId))] = machineFrom(i)
			}
		}
		return out.NextToken, nil
	})
	if err != nil {
		return nil, err
	}
	return got, nil
}

func machineFrom(i types.Instance) machine {
	m := machine{kind: string(i.InstanceType), used: map[int]bool{}}
	if i.Placement != nil {
		m.zone = aws.ToString(i.Placement.AvailabilityZone)
	}
	if i.State != nil {
		m.state = i.State.Name
	}
	for _, ni := range i.NetworkInterfaces {
		if a := ni.Attachment; a != nil && aws.ToInt32(a.NetworkCardIndex) == 0 {
			m.used[int(aws.ToInt32(a.DeviceIndex))] = true
		}
	}
	return m
}

// takes says why an instance takes no NIC at present; nil if it does.
func (m machine) takes(id nic.InstanceID) error {
	switch m.state {
	case types.InstanceStateNameTerminated, types.InstanceStateNameShuttingDown:
		return noInstance(provider.ErrInvalid, id)
	case types.InstanceStateNamePending, types.InstanceStateNameStopping:
		return &provider.Error{
			Kind: provider.ErrBusy, Scope: provider.ScopeNode, RetryAfter: 2 * time.Second,
			Err: fmt.Errorf("%s is %s", id, m.state),
		}
	}
	return nil
}

// Off implements provider.Powered. A terminated instance never runs again; EC2
// shows it for about an hour.
func (p *Provider) Off(ctx context.Context, instance nic.InstanceID) (bool, error) {
	m, err := p.machineOf(ctx, instance, provider.ErrNotFound)
	if err != nil {
		return false, p.failing("off", "")(err)
	}
	return m.state == types.InstanceStateNameStopped || m.state == types.InstanceStateNameTerminated, nil
}
