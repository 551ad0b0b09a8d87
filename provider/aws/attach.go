package aws

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// nextIndex is when another index can be tried: at once.
const nextIndex = 20 * time.Millisecond

// Attach implements provider.Provider. It looks first, or goes by a look a moment ago:
// EC2 knows no token for attaching, but attaches nothing that is attached.
func (p *Provider) Attach(ctx context.Context, id nic.ID, place nic.Place) (nic.Seen, error) {
	fail := p.failing("attach", id)
	f, err := p.at(ctx, id, nic.StateAvailable)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	there, err := p.mayAttach(f, place)
	if err == nil && !there {
		f, err = p.plugIn(ctx, f, place)
	}
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	p.mend(ctx, f)
	seen, err := p.seen(ctx, f)
	if err != nil {
		return nic.Seen{}, fail(err)
	}
	return seen, nil
}

// have is the NIC's interface, also where EC2 does not show yet what we made.
func (p *Provider) have(ctx context.Context, id nic.ID) (iface, error) {
	all, err := p.look(ctx, id)
	if err != nil {
		return iface{}, err
	}
	if f, ok := all[id]; ok {
		return f, nil
	}
	if d := p.recent.of(id); d.young() && d.made.id != "" {
		return d.made, nil
	}
	return iface{}, errNotFound("EC2 shows no interface with its tag")
}

// at is have, or what EC2 said a moment ago if the NIC was in that state by then.
func (p *Provider) at(ctx context.Context, id nic.ID, state nic.State) (iface, error) {
	d := p.recent.of(id)
	if f, ok := d.seen(); ok {
		if now, _ := stateOf(f, d); now == state {
			return f, nil
		}
	}
	return p.have(ctx, id)
}

// mayAttach says whether the NIC is plugged in there already, and why it cannot be
// plugged in at present.
func (p *Provider) mayAttach(f iface, place nic.Place) (there bool, err error) {
	state, at := stateOf(f, p.recent.of(f.nic))
	switch {
	case state == nic.StateAvailable:
		return false, nil
	case state == nic.StateDeleting:
		return false, errNotFound("it is deleted")
	case at.Instance != "" && at.Instance != place.Instance:
		return false, provider.Errorf(provider.ErrElsewhere, "%s is %s on %s", f.id, state, at.Instance)
	case state == nic.StateAttached:
		return true, nil
	}
	return false, provider.Errorf(provider.ErrBusy, "%s is %s", f.id, state)
}

// plugIn has EC2 attach the interface, at the lowest index that is free.
func (p *Provider) plugIn(ctx context.Context, f iface, place nic.Place) (iface, error) {
	m, index, err := p.indexOn(ctx, place.Instance, f.nic)
	if err != nil {
		return f, err
	}
	defer p.recent.acts(f.nic)()
	if err := p.name(ctx, &f, place.Node); err != nil {
		p.indexes.free(place.Instance, index)
		return f, err
	}
	out, err := call(ctx, p, apiAttachInterface, p.api.AttachNetworkInterface, &ec2.AttachNetworkInterfaceInput{
		NetworkInterfaceId: aws.String(f.id), InstanceId: aws.String(string(place.Instance)),
		DeviceIndex: aws.Int32(int32(index)), //nolint:gosec // below the limit
		// Always said: without it EC2 has looked for the index on all cards.
		NetworkCardIndex: aws.Int32(0),
	})
	if err != nil {
		p.known.Drop(place.Instance)
		return p.notAttached(ctx, f, place, m, index, err)
	}
	f.plug = &plug{id: aws.ToString(out.AttachmentId), instance: place.Instance, status: types.AttachmentStatusAttaching, index: index}
	p.recent.attached(f.nic, place)
	return f, nil
}

// indexOn holds an index of the instance for the NIC: by what is remembered of the
// instance if there is one by that, or else by a look.
func (p *Provider) indexOn(ctx context.Context, instance nic.InstanceID, id nic.ID) (m machine, index int, err error) {
	if m, known := p.known.Get(instance); known && m.takes(instance) == nil {
		if limit, err := p.limitsOf(ctx, m.kind); err == nil {
			if index, ok, _ := p.indexes.hold(instance, id, m.used, limit.nics); ok {
				return m, index, nil
			}
		}
	}
	if m, err = p.machineOf(ctx, instance, provider.ErrInvalid); err == nil {
		err = m.takes(instance)
	}
	if err != nil {
		return m, 0, err
	}
	limit, err := p.limitsOf(ctx, m.kind)
	if err != nil {
		return m, 0, err
	}
	index, ok, later := p.indexes.hold(instance, id, m.used, limit.nics)
	switch {
	case later:
		err = &provider.Error{
			Kind: provider.ErrBusy, Scope: provider.ScopeNode, RetryAfter: time.Second,
			Err: fmt.Errorf("the last free interfaces of %s are being attached, or may be", instance),
		}
	case !ok:
		err = &provider.Error{
			Kind: provider.ErrExhausted, Scope: provider.ScopeNode,
			Err: fmt.Errorf("%d of %d interfaces of network card 0 of %s (%s) are in use", len(m.used), limit.nics, instance, m.kind),
		}
	}
	return m, index, err
}

// name has the node's name on the interface, so that whoever sees it plugged in
// knows where; it is there already unless the NIC was made for another node.
func (p *Provider) name(ctx context.Context, f *iface, node string) error {
	if node == "" || f.node == node {
		return nil
	}
	_, err := call(ctx, p, apiCreateTags, p.api.CreateTags, &ec2.CreateTagsInput{
		Resources: []string{f.id}, Tags: []types.Tag{{Key: aws.String(tagNode), Value: aws.String(node)}},
	})
	if err == nil {
		f.node = node
	}
	return p.perhapsYoung(f.nic, err)
}

// perhapsYoung makes "not found" of a NIC that we have just made what it is: EC2
// does not show it yet.
func (p *Provider) perhapsYoung(id nic.ID, err error) error {
	if saying(err).code == "InvalidNetworkInterfaceID.NotFound" && p.recent.of(id).young() {
		return busyInstead(err, retryYoung)
	}
	return err
}

// notAttached says what a refused attach means.
func (p *Provider) notAttached(ctx context.Context, f iface, place nic.Place, m machine, index int, err error) (iface, error) {
	why := saying(err)
	if errors.Is(err, provider.ErrUnknown) {
		return f, err // it may have that index
	}
	if strings.Contains(why.message, indexTaken) {
		p.indexes.taken(place.Instance, index)
		return f, busyInstead(err, nextIndex)
	}
	p.indexes.free(place.Instance, index)
	switch why.code {
	case codeSlots:
		p.types.Drop(m.kind)
	case codeInUse: // perhaps by our own attempt before
		now, lookErr := p.have(ctx, f.nic)
		if lookErr != nil {
			return f, lookErr
		}
		switch there, err := p.mayAttach(now, place); {
		case err != nil:
			return f, err
		case there:
			return now, nil
		}
	}
	return f, p.perhapsYoung(f.nic, err)
}
