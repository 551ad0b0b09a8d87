package allocator

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A Recorder remembers what happens, for people. Add never waits.
type Recorder interface{ Add(e api.Event) }

// The reasons of events that are no condition's.
const (
	newsAsked    nic.Reason = "ClaimAsked"
	newsEnded    nic.Reason = "ClaimEnded"
	newsJoined   nic.Reason = "NodeJoined"
	newsStarted  nic.Reason = "NodeReady"
	newsForget   nic.Reason = "NodeForgotten"
	newsAnswers  nic.Reason = "ProviderAnswers"
	newsStoreOK  nic.Reason = "StoreAnswers"
	newsMended   nic.Reason = "DifferenceMended"
	newsUnmended nic.Reason = "DifferenceNotMended"
)

// waits are the conditions that are as it should be, for a while.
func waits(r nic.Reason) bool {
	switch r {
	case nic.ReasonWaitingForProvider, nic.ReasonWaitingForNode, nic.ReasonWaitingForNIC, nic.ReasonWaitingForDHCP,
		nic.ReasonCheckingAddress, nic.ReasonWaitingForFormer, nic.ReasonWaitingForSlot, nic.ReasonWaitingForTurn,
		nic.ReasonWaitingForRecord, nic.ReasonNothingLeaves:
		return true
	}
	return false
}

// A remembered record is one as it was read, which is a pointer, or as it is written.
type remembered struct {
	key string
	v   any
}

// keep remembers a record that is written, if people want to hear of it. What edits
// change in place is copied.
func (e *edit) keep(key string, v any) {
	if !e.keeps {
		return
	}
	switch r := v.(type) {
	case nic.Claim:
		if len(r.Conditions) > 0 {
			r.Conditions = slices.Clone(r.Conditions)
			v = r
		}
	case nic.NIC:
		if len(r.Conditions) > 0 {
			r.Conditions = slices.Clone(r.Conditions)
			v = r
		}
	case nic.Publication:
		r.Conditions = slices.Clone(r.Conditions)
		v = r
	case nic.Node, nic.Observed:
	default:
		return
	}
	e.written = append(e.written, remembered{key, v})
}

// as is a record as it was remembered last; the zero one without.
func as[T any](in []remembered, key string) (v T, found bool) {
	for i := len(in) - 1; i >= 0; i-- {
		if in[i].key != key {
			continue
		}
		if read, ok := in[i].v.(*T); ok {
			return *read, true
		}
		v, found = in[i].v.(T)
		return v, found
	}
	return v, false
}

// news are the events of one commit.
type news struct {
	a    *Allocator
	e    *edit
	told map[string]bool // conditions, by claim and what they say
}

// tell says what a commit has changed. It is the one place that does: what was
// decided and not committed has not happened.
func (a *Allocator) tell(e *edit) {
	n := news{a: a, e: e, told: map[string]bool{}}
	for _, op := range e.ops { // claims first: users look there
		if strings.HasPrefix(op.Key, claimPrefix) {
			n.claim(op)
		}
	}
	for _, op := range e.ops {
		switch {
		case strings.HasPrefix(op.Key, nicPrefix):
			n.nic(op)
		case strings.HasPrefix(op.Key, observedPrefix):
			n.observed(op)
		case strings.HasPrefix(op.Key, nodePrefix):
			n.node(op)
		case strings.HasPrefix(op.Key, publicPrefix):
			n.public(op)
		}
	}
}

func (n news) claim(op store.Op) {
	was, known := as[nic.Claim](n.e.read, op.Key)
	now, written := as[nic.Claim](n.e.written, op.Key)
	if op.Kind == store.OpDelete && known {
		n.add(about(was), newsEnded, "its container is gone, and it holds nothing any more")
		return
	}
	if op.Kind != store.OpPut || !written || !known && op.Expect != 0 {
		return
	}
	of := about(now)
	if !known {
		n.add(of, newsAsked, "asks for %s on network %s", now.Owner.Interface, cmp.Or(now.Request.Network, "(none)"))
	}
	n.conditions(of, was.Conditions, now.Conditions)
	if now.Phase == was.Phase {
		return
	}
	switch now.Phase {
	case nic.ClaimReady:
		text := "its NIC is plugged in"
		if was.Phase == nic.ClaimBound {
			text = "its NIC is out of the container, and waits for it"
		}
		n.add(of, "ClaimReady", "%s", text)
	case nic.ClaimBound:
		n.add(of, "ClaimBound", "%s is in the container%s", now.Owner.Interface, n.addresses(now))
	case nic.ClaimReleasing:
		n.add(of, "ClaimReleasing", "its container is gone, and the NIC is being taken back")
	case nic.ClaimPending:
		if known {
			n.add(of, "ClaimPending", "it was %s", was.Phase)
		}
	case nic.ClaimMoving:
		if onMove(now) && was.Phase != nic.ClaimParked {
			n.add(of, "ClaimMoving", "it moves from node %s to node %s (%s)", now.Move.From.Node, now.Move.To.Node, now.Move.Move)
		}
	case nic.ClaimRefused, nic.ClaimParked: // the condition says it
	}
}

func about(c nic.Claim) api.Event {
	return api.Event{
		Claim: c.ID, NIC: c.NIC, Container: c.Container, Network: c.Request.Network, Node: c.Owner.Node, Tenant: c.Tenant,
	}
}

// addresses are what the node says that the container has now.
func (n news) addresses(c nic.Claim) string {
	addrs := c.Identity.Addrs
	if o, ok := as[nic.Observed](n.e.written, observedKey(c.NIC)); ok && len(o.Addrs) > 0 {
		addrs = o.Addrs
	}
	if len(addrs) == 0 {
		return ""
	}
	texts := make([]string, len(addrs))
	for i, p := range addrs {
		texts[i] = p.String()
	}
	return " with " + strings.Join(texts, ", ")
}

func (n news) nic(op store.Op) {
	was, known := as[nic.NIC](n.e.read, op.Key)
	now, written := as[nic.NIC](n.e.written, op.Key)
	if op.Kind == store.OpDelete && known {
		n.add(n.ofNIC(was), "NICGone", "the provider has deleted it")
		return
	}
	if op.Kind != store.OpPut || !written || !known && op.Expect != 0 {
		return
	}
	if now.Phase != was.Phase {
		n.add(n.ofNIC(now), "NIC"+nic.Reason(capital(string(now.Phase))), "%s", phaseText(now.Phase))
	}
	if now.Placed && !was.Placed && n.a.fellBack(now) {
		of := n.ofNIC(now)
		of.Type = api.EventWarning
		n.add(of, nic.ReasonFellBack, "no VF of network %s is free on node %s: it gets %s instead", now.Network, now.Node, shapeOf(now.Spec.Device))
	}
	n.conditions(n.ofNIC(now), was.Conditions, now.Conditions)
}

func (n news) ofNIC(v nic.NIC) api.Event {
	of := api.Event{NIC: v.ID, Claim: v.Holder, Network: v.Network, Node: v.Node, Tenant: v.Tenant}
	for _, in := range [][]remembered{n.e.written, n.e.read} {
		if c, ok := as[nic.Claim](in, claimKey(v.Holder)); ok {
			of.Container = c.Container
			break
		}
	}
	return of
}

// phaseText says to people what a NIC's phase is.
func phaseText(p nic.Phase) string {
	switch p {
	case nic.PhasePlanned:
		return "it is on record, and the provider is asked for it"
	case nic.PhaseSpare:
		return "it is plugged in, and nobody holds it"
	case nic.PhaseHeld:
		return "it is plugged in, and its claim holds it"
	case nic.PhaseCarrying:
		return "it is plugged in, and serves as many claims as it has addresses"
	case nic.PhaseReturning:
		return "it is being taken out, wiped and unplugged"
	case nic.PhaseCooling:
		return "it is clean, and rests before others may have it"
	case nic.PhaseRetiring:
		return "it is being deleted at the provider"
	}
	return "it is " + string(p)
}

// observed tells what a node has trouble with.
func (n news) observed(op store.Op) {
	now, written := as[nic.Observed](n.e.written, op.Key)
	if op.Kind != store.OpPut || !written {
		return
	}
	was, _ := as[nic.Observed](n.e.read, op.Key)
	v, _ := as[nic.NIC](n.e.read, nicKey(now.NIC))
	n.conditions(n.ofNIC(v), was.Conditions, now.Conditions)
}

func (n news) node(op store.Op) {
	was, known := as[nic.Node](n.e.read, op.Key)
	now, written := as[nic.Node](n.e.written, op.Key)
	of := api.Event{Node: cmp.Or(now.Name, was.Name)}
	switch {
	case op.Kind == store.OpDelete && known:
		n.add(of, newsForget, "it is forgotten, with all that was reserved for it")
	case op.Kind != store.OpPut || !written:
	case !known && op.Expect == 0:
		n.add(of, newsJoined, "its agent is here for the first time")
	case now.Phase != was.Phase && now.Phase == nic.NodeLost:
		n.add(of, newsForget, "an operator has said that it is gone for good")
	case now.Phase != was.Phase && now.Phase == nic.NodeRevoked:
		of.Type = api.EventWarning
		n.add(of, nic.ReasonNodeRevoked, "its trust is taken away: its agent is refused until the node has joined anew")
	case now.Session != was.Session:
		n.add(of, newsStarted, "its agent has started")
	case now.Phase != was.Phase:
		n.add(of, newsStarted, "it is back, and was %s", was.Phase)
	}
}

// conditions tells those that are new, and what troubles say anew. What a wait
// counts meanwhile is no news.
func (n news) conditions(of api.Event, was, now []nic.Condition) {
	for _, c := range now {
		said := string(of.Claim) + "\n" + string(c.Reason) + "\n" + c.Message
		known := slices.ContainsFunc(was, func(w nic.Condition) bool {
			return w.Reason == c.Reason && (w.Message == c.Message || waits(c.Reason))
		})
		if known || of.Claim != "" && n.told[said] {
			continue
		}
		n.told[said] = true
		e := of
		if !waits(c.Reason) {
			e.Type = api.EventWarning
		}
		n.add(e, c.Reason, "%s", c.Message)
	}
}

func (n news) add(e api.Event, reason nic.Reason, format string, args ...any) {
	e.Reason, e.Message = reason, fmt.Sprintf(format, args...)
	n.a.opts.Events.Add(e)
}

func done(steps []nic.Step, name nic.StepName) bool {
	return slices.ContainsFunc(steps, func(s nic.Step) bool { return s.Name == name })
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// silence is where no events are wanted.
type silence struct{}

// Add does nothing.
func (silence) Add(api.Event) {}
