package eni

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/calls"
)

const (
	memberName = "trunk member"
	// trunkKnown is how long what the cloud said of a trunk that is plugged in stands for
	// it, and trunkSoon when it can be one that was not.
	trunkKnown = 30 * time.Second
	trunkSoon  = time.Second
	// trunkKept is how long a trunk stays that has no members.
	trunkKept = 5 * time.Minute
)

// trunks are what this process has lately done to trunks. As recent, it is never needed:
// a trunk's tags say whose it is, and which instance's.
type trunks struct {
	known *calls.Cache[nic.InstanceID, Interface] // plugged in

	mu    sync.Mutex
	busy  map[nic.InstanceID]bool
	tries map[nic.InstanceID]try
	macs  map[string]nic.MAC   // by interface, for good
	empty map[string]time.Time // since when one has no members
	// joins are the last ones of interfaces, which trunks may not show yet.
	joins map[string]join
}

// A join is of a NIC that was made a member on the instance.
type join struct {
	id nic.ID
	on nic.InstanceID
	at time.Time
}

// A try is a trunk that was asked for, and what came of it.
type try struct {
	token string
	at    time.Time
	made  Interface // none before the answer
}

func newTrunks() *trunks {
	return &trunks{
		known: calls.NewCache[nic.InstanceID, Interface](trunkKnown),
		busy:  map[nic.InstanceID]bool{}, tries: map[nic.InstanceID]try{}, macs: map[string]nic.MAC{}, empty: map[string]time.Time{},
		joins: map[string]join{},
	}
}

// begin has one at a time see to an instance's trunk; end is nil for all others.
func (t *trunks) begin(instance nic.InstanceID) (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.busy[instance] {
		return nil
	}
	t.busy[instance] = true
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.busy, instance)
	}
}

func (t *trunks) tried(instance nic.InstanceID) (try, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last, ok := t.tries[instance]
	return last, ok && time.Since(last.at) < visibleAfter
}

func (t *trunks) note(instance nic.InstanceID, now try) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.tries[instance] = now
}

func (t *trunks) macOf(id string) nic.MAC {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.macs[id]
}

// found notes trunks that the cloud shows.
func (t *trunks) found(all []Interface) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range all {
		t.macs[f.ID] = f.MAC
	}
}

// idle is how long a trunk has had no members, as far as is known; 0 for one that has.
func (t *trunks) idle(id string, members int) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	since, was := t.empty[id]
	switch {
	case members > 0:
		delete(t.empty, id)
		return 0
	case !was:
		t.empty[id] = time.Now()
		return 0
	}
	return time.Since(since)
}

// joining notes that an interface is about to be a member, whatever the answer will be.
func (t *trunks) joining(trunk string, f Interface, instance nic.InstanceID) {
	t.idle(trunk, 1)
	t.mu.Lock()
	defer t.mu.Unlock()
	for id, j := range t.joins {
		if time.Since(j.at) > visibleAfter {
			delete(t.joins, id)
		}
	}
	t.joins[f.ID] = join{f.nic(), instance, time.Now()}
}

// membersOf is how many members a trunk has, by what the cloud shows of it and by what we
// have done a moment ago.
func (p *Provider) membersOf(trunk Interface) (n int) {
	p.trunks.mu.Lock()
	lately := maps.Clone(p.trunks.joins)
	p.trunks.mu.Unlock()
	for _, id := range trunk.Members {
		j, ours := lately[id]
		if d := p.recent.of(j.id); !ours || d.view.Plug != nil || d.viewedAt.Before(d.detachedAt) || d.detachedAt.Before(j.at) {
			n++ // else it was seen to have left
		}
	}
	for id, j := range lately {
		if d := p.recent.of(j.id); j.on == trunk.Plug.Instance && !slices.Contains(trunk.Members, id) && !d.attachedAt.IsZero() && time.Since(d.attachedAt) < stale {
			n++
		}
	}
	return n
}

// join has the cloud make the interface a member of the instance's trunk, which is made
// and plugged in before, one step a call.
func (p *Provider) join(ctx context.Context, f Interface, place nic.Place) (Interface, error) {
	t, ok := p.cloud.(Trunker)
	if !ok {
		return f, provider.Errorf(provider.ErrInvalid, "%s is to be a member of a trunk, and %s has none", f.ID, p.traits.API)
	}
	trunk, err := p.trunkFor(ctx, t, f, place)
	if err != nil {
		return f, err
	}
	defer p.recent.acts(f.nic())()
	if err := p.name(ctx, &f, place.Node); err != nil {
		return f, err
	}
	p.recent.attaches(f.nic(), place.Instance)
	p.trunks.joining(trunk.ID, f, place.Instance)
	attachment, err := t.Join(ctx, f, trunk, place.Instance)
	if err != nil {
		p.trunks.known.Drop(place.Instance)
		if errors.Is(err, provider.ErrNotFound) { // perhaps the trunk: the next look at the NIC tells
			err = busyInstead(err, trunkSoon)
		}
		return p.notAttached(ctx, f, place, Instance{}, noIndex, err)
	}
	f.State, f.Plug = nic.StateAttaching, &Plug{ID: attachment, Instance: place.Instance, Trunk: trunk.ID}
	p.recent.attached(f.nic(), place)
	return f, nil
}

// noIndex is where members are plugged in.
const noIndex = -1

// trunkFor is the trunk of the instance, once it has one that is plugged in. Until then it
// is ErrBusy, and the next step has been taken: its record is its tags, which are on it
// from the first.
func (p *Provider) trunkFor(ctx context.Context, t Trunker, f Interface, place nic.Place) (Interface, error) {
	if trunk, ok := p.trunks.known.Get(place.Instance); ok {
		return trunk, nil
	}
	end := p.trunks.begin(place.Instance)
	if end == nil {
		return Interface{}, soon(place.Instance, "is being looked for")
	}
	defer end()
	all, err := t.Trunks(ctx, place.Instance)
	if err != nil {
		return Interface{}, err
	}
	p.trunks.found(all)
	var free []Interface
	for _, trunk := range all {
		state, at := stateOf(trunk, p.recent.of(trunk.nic()))
		switch {
		case at.Instance == place.Instance && state == nic.StateAttached:
			p.trunks.known.Put(place.Instance, trunk)
			return trunk, nil
		case at.Instance == place.Instance:
			return Interface{}, soon(place.Instance, fmt.Sprintf("(%s) is %s", trunk.ID, state))
		case at.Instance == "" && state == nic.StateAvailable && trunk.isTrunk():
			free = append(free, trunk)
		}
	}
	if len(free) == 0 {
		trunk, err := p.makeTrunk(ctx, f, place)
		if err != nil {
			return Interface{}, err
		}
		free = append(free, trunk)
	}
	slices.SortFunc(free, func(a, b Interface) int { return strings.Compare(a.ID, b.ID) }) // should there be several: see tend
	if _, err := p.plugIn(ctx, free[0], place); err != nil {
		return Interface{}, err
	}
	return Interface{}, soon(place.Instance, "("+free[0].ID+") is being attached")
}

func soon(instance nic.InstanceID, what string) error {
	return &provider.Error{
		Kind: provider.ErrBusy, Scope: provider.ScopeNode, RetryAfter: trunkSoon,
		Err: fmt.Errorf("the trunk of %s %s", instance, what),
	}
}

// makeTrunk makes a trunk for the instance, in the subnet and with the groups of its first
// member. One that was made a moment ago, and is not shown yet, is the one. The token is the
// same for as long as an answer may be missing.
func (p *Provider) makeTrunk(ctx context.Context, f Interface, place nic.Place) (Interface, error) {
	last, tried := p.trunks.tried(place.Instance)
	if tried && last.made.ID != "" && !p.recent.of(last.made.nic()).deleted() {
		return last.made, nil
	}
	if l, err := p.Room(ctx, place.Instance, 1); err != nil || l.Free <= 0 {
		if err == nil {
			err = &provider.Error{
				Kind: provider.ErrExhausted, Scope: provider.ScopeNode,
				Err: fmt.Errorf("%s has no trunk yet, and 0 of %d %ss are free for one", place.Instance, l.NICs, slotName),
			}
		}
		return Interface{}, err
	}
	if !tried || last.made.ID != "" {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %d", p.opts.Cluster, place.Instance, f.nic(), time.Now().UnixNano()/int64(trunkKept)))
		last = try{token: "trunk-" + hex.EncodeToString(sum[:12])}
	}
	last.at = time.Now()
	p.trunks.note(place.Instance, last)
	tags := map[string]string{TagCluster: p.opts.Cluster, TagNode: place.Node, TagRole: roleTrunk, TagInstance: string(place.Instance)}
	made, err := p.cloud.Create(ctx, Wanted{
		Spec:        nic.Spec{NIC: nic.ID(last.token), Network: "trunk", Node: place.Node, Cloud: nic.CloudSpec{Subnet: f.Subnet, Groups: f.Groups}},
		Description: "nicferry trunk of " + string(place.Instance), Tags: tags, Trunk: true,
	})
	if err != nil {
		return Interface{}, err
	}
	made.Tags = tags
	p.recent.made(made.nic(), made)
	last.made = made
	p.trunks.note(place.Instance, last)
	p.spend(f.Subnet, 1)
	return made, nil
}

// asMember says of a member that is plugged in what its node needs to know. As long as the
// cloud does not, it is not plugged in yet.
func (p *Provider) asMember(ctx context.Context, f Interface, s *nic.Seen) error {
	mac := p.trunks.macOf(f.Plug.Trunk)
	if t, ok := p.cloud.(Trunker); ok && mac.IsZero() {
		all, err := t.Trunks(ctx, f.Plug.Instance)
		if err != nil {
			return err
		}
		p.trunks.found(all)
		mac = p.trunks.macOf(f.Plug.Trunk)
	}
	if mac.IsZero() || f.Plug.Tag == 0 {
		s.Device = nic.Device{}
		if s.State == nic.StateAttached {
			s.State = nic.StateAttaching
		}
		return nil
	}
	s.Device.Kind, s.Device.Trunk, s.Device.Tag = nic.VLAN, mac, f.Plug.Tag
	return nil
}

// tend takes a trunk of ours away that has had no members for a while, a step each time
// that all is listed; and one that was made twice, or for an instance that had no room.
// What fails is tried again the next time.
func (p *Provider) tend(ctx context.Context, f Interface) {
	p.trunks.found([]Interface{f})
	p.mend(ctx, f)
	instance := nic.InstanceID(f.Tags[TagInstance])
	state, at := stateOf(f, p.recent.of(f.nic()))
	if p.trunks.idle(f.ID, len(f.Members)) < trunkKept || state != nic.StateAttached && state != nic.StateAvailable {
		return
	}
	end := p.trunks.begin(instance)
	if end == nil {
		return // a member is coming
	}
	defer end()
	p.trunks.known.Drop(instance)
	defer p.recent.acts(f.nic())()
	var err error
	if state == nic.StateAttached {
		if err = p.cloud.Detach(ctx, f); err == nil {
			p.recent.ended(f.nic(), f.Plug.ID)
			p.known.Drop(at.Instance)
		}
	} else if err = p.cloud.Delete(ctx, f); err == nil {
		p.recent.deleted(f.nic())
	}
	if err != nil {
		p.opts.Log.Warn("trunk without members stays; tried again at the next look", "interface", f.ID, "instance", instance, "err", p.failing("list", "")(err))
		return
	}
	p.opts.Log.Info("trunk without members goes", "interface", f.ID, "instance", instance, "was", state)
}

// Members implements provider.Trunking.
func (p *Provider) Members(ctx context.Context, instance nic.InstanceID) (provider.Limits, error) {
	fail := p.failing("limits", "")
	l, err := p.Limits(ctx, instance)
	if err != nil {
		return l, err
	}
	limits := provider.Limits{AddrsPerNIC: l.AddrsPerNIC, Slot: memberName}
	t, ok := p.cloud.(Trunker)
	m, known := p.known.Get(instance)
	if !ok || !known {
		return limits, nil
	}
	c, err := p.limitsOf(ctx, m.Kind)
	if err != nil {
		return limits, fail(err)
	}
	if limits.NICs = c.Members; c.Members == 0 {
		return limits, nil
	}
	all, err := t.Trunks(ctx, instance)
	if err != nil {
		return limits, fail(err)
	}
	p.trunks.found(all)
	if l.Free > 0 {
		limits.Free = c.Members // with the trunk that it will have
	}
	for _, trunk := range all {
		if trunk.Plug != nil && trunk.Plug.Instance == instance {
			limits.Free = max(0, c.Members-p.membersOf(trunk))
		}
	}
	return limits, nil
}
