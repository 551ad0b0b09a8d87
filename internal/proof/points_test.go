package proof

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A marked store passes a point before and after each commit. A point is named
// after what is written, so that the same step has the same name in each life.
type marked struct {
	store.Store
	at func(point string)
}

func (m *marked) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	writes := m.describe(ctx, ops)
	if writes == "" {
		return m.Store.Commit(ctx, ops...)
	}
	m.at("before commit " + writes)
	rev, err := m.Store.Commit(ctx, ops...)
	if err == nil {
		m.at("after commit " + writes)
	}
	return rev, err
}

func (m *marked) Lead(ctx context.Context, name string) (store.Term, error) {
	m.at("before lead")
	term, err := m.Store.Lead(ctx, name)
	if err == nil {
		m.at("after lead")
	}
	return term, err
}

// describe names what the ops write; "" if they write nothing.
func (m *marked) describe(ctx context.Context, ops []store.Op) string {
	var parts []string
	for _, op := range ops {
		kind, _, _ := strings.Cut(op.Key, "/")
		switch {
		case op.Kind == store.OpDelete:
			parts = append(parts, "-"+kind)
		case op.Kind == store.OpPut && op.Expect == 0:
			parts = append(parts, "+"+kind+value(kind, op.Value))
		case op.Kind == store.OpPut:
			was, err := m.Store.Get(ctx, op.Key)
			if err != nil || was.Rev != op.Expect {
				return "" // another was quicker: nothing is going to be written
			}
			if value(kind, was.Value) == value(kind, op.Value) {
				parts = append(parts, kind+value(kind, op.Value))
			} else {
				parts = append(parts, kind+value(kind, was.Value)+">"+value(kind, op.Value))
			}
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

// value is what of a record tells one step of a life from another. Conditions
// do not: which of two writers is the first to add one is chance.
func value(kind string, text []byte) string {
	parts := []string{}
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	var n nic.NIC
	var c nic.Claim
	var o nic.Observed
	var p nic.Publication
	switch {
	case kind == "nic" && json.Unmarshal(text, &n) == nil:
		add("%s", n.Phase)
		if n.Placed {
			add("placed")
		}
		if n.Seen.State != "" {
			add("%s", n.Seen.State)
		}
		if n.Clean {
			add("clean")
		}
		if n.Reuse {
			add("reuse")
		}
		switch {
		case n.Carrier != "":
			add("seat")
		case n.Carries:
			add("carries-%d", n.Seats)
		case n.Holder == "":
			add("free")
		}
		if n.Going != "" {
			add("going-%s", n.Going)
		}
		if n.Turn > 0 && n.Holder != "" {
			add("on-%s", n.Node)
		}
	case kind == "claim" && json.Unmarshal(text, &c) == nil:
		add("%s", c.Phase)
		if !c.StoppedAt.IsZero() {
			add("stopped")
		}
		if c.NIC == "" {
			add("without")
		}
		if c.Identity.Public.IsValid() {
			add("public")
		}
		if c.Move != nil {
			add("at-%s", c.Move.At)
		}
	case kind == "public" && json.Unmarshal(text, &p) == nil:
		if p.NIC != "" {
			add("leads")
		}
		if p.Returned {
			add("back")
		}
	case kind == "observed" && json.Unmarshal(text, &o) == nil:
		add("%s", o.State)
		if o.Running {
			add("running")
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, ",") + ")"
}

// markedCalls passes a point before and after each call of the provider.
type markedCalls struct {
	provider.Provider
	at func(point string)
}

func (m *markedCalls) call(what string, do func() (nic.State, error)) {
	m.at("before " + what)
	state, err := do()
	if err != nil {
		what += " (" + kindOf(err) + ")"
	} else if state != "" {
		what += " (" + string(state) + ")"
	}
	m.at("after " + what)
}

func (m *markedCalls) Create(ctx context.Context, spec nic.Spec) (seen nic.Seen, err error) {
	m.call("create", func() (nic.State, error) { seen, err = m.Provider.Create(ctx, spec); return seen.State, err })
	return seen, err
}

func (m *markedCalls) Attach(ctx context.Context, id nic.ID, place nic.Place) (seen nic.Seen, err error) {
	m.call("attach", func() (nic.State, error) { seen, err = m.Provider.Attach(ctx, id, place); return seen.State, err })
	return seen, err
}

func (m *markedCalls) Detach(ctx context.Context, id nic.ID, at nic.InstanceID) (err error) {
	m.call("detach", func() (nic.State, error) { err = m.Provider.Detach(ctx, id, at); return "", err })
	return err
}

func (m *markedCalls) Delete(ctx context.Context, id nic.ID) (err error) {
	m.call("delete", func() (nic.State, error) { err = m.Provider.Delete(ctx, id); return "", err })
	return err
}

func (m *markedCalls) Get(ctx context.Context, ids ...nic.ID) (seen map[nic.ID]nic.Seen, err error) {
	m.call("get", func() (nic.State, error) {
		seen, err = m.Provider.Get(ctx, ids...)
		var states []string
		for _, s := range seen {
			states = append(states, string(s.State))
		}
		slices.Sort(states)
		return nic.State(strings.Join(states, ",")), err
	})
	return seen, err
}

func (m *markedCalls) Limits(ctx context.Context, at nic.InstanceID) (l provider.Limits, err error) {
	m.call("limits", func() (nic.State, error) { l, err = m.Provider.Limits(ctx, at); return "", err })
	return l, err
}

func (m *markedCalls) Publish(ctx context.Context, claim nic.ClaimID, id nic.ID) (addr netip.Addr, err error) {
	m.call("publish", func() (nic.State, error) {
		addr, err = m.Provider.(provider.Publisher).Publish(ctx, claim, id)
		return "", err
	})
	return addr, err
}

func (m *markedCalls) Unpublish(ctx context.Context, claim nic.ClaimID) (err error) {
	m.call("unpublish", func() (nic.State, error) { err = m.Provider.(provider.Publisher).Unpublish(ctx, claim); return "", err })
	return err
}

// Published is the provider's: nothing asks for it in a life.
func (m *markedCalls) Published(ctx context.Context) (map[nic.ClaimID]netip.Addr, error) {
	return m.Provider.(provider.Publisher).Published(ctx)
}
