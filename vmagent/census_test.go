//go:build linux

package vmagent_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/netns/netnstest"
	"github.com/nicferry/nicferry/nic"
)

// audit is what the controller finds by asking this agent, one line each.
func (r *rig) audit(fix bool) string {
	r.t.Helper()
	audit, err := r.alloc.Audit(r.t.Context(), fix)
	if err != nil {
		r.t.Fatal(err)
	}
	var lines []string
	for _, f := range audit.Findings {
		lines = append(lines, fmt.Sprintf("%s %s %s", f.Kind, f.NIC, f.Link))
	}
	return strings.Join(lines, "\n")
}

// The agent's census finds its NICs wherever they are, in containers that run,
// are stopped or are not started, and what looks like a NIC and is none.
func TestCensus(t *testing.T) {
	r := newRig(t)
	label := func(network string) map[string]string { return map[string]string{nic.LabelNetwork: network} }
	r.engine.run(t, id(1), label("veth"))
	r.engine.run(t, id(2), label("macvlan"))
	r.engine.run(t, id(3), label("veth"))
	r.bound(id(1))
	r.bound(id(2))
	r.bound(id(3))
	r.engine.die(id(3))
	r.until("the third container's claim to be unbound", func() bool { return r.claims()[id(3)].Phase == nic.ClaimReady })
	r.until("nothing to differ", func() bool { return r.audit(false) == "" })

	netnstest.Run(t, r.host, "ip", "link", "add", "nf0123456789ab", "type", "veth", "peer", "name", "peer")
	netnstest.Run(t, r.host, "ip", "link", "add", "innocent", "type", "veth", "peer", "name", "bystander")
	netnstest.Run(t, r.host, "ip", "link", "add", "left", "type", "veth", "peer", "name", "over")
	netnstest.Run(t, r.host, "ip", "link", "set", "left", "alias", "nic-abcdef0123456789")
	netnstest.Run(t, r.host, "ip", "link", "add", "child", "link", "wire0", "type", "macvlan")
	netnstest.Run(t, r.host, "ip", "link", "set", "child", "alias", "nic-fedcba9876543210")
	want := string(api.FindingForeign) + "  nf0123456789ab\n" +
		string(api.FindingLeftOnNode) + " nic-abcdef0123456789 left\n" +
		string(api.FindingLeftOnNode) + " nic-fedcba9876543210 child"
	if got := r.audit(true); got != want {
		t.Errorf("the audit finds\n%s\nwant\n%s", got, want)
	}
	r.until("all but the foreign link to be gone", func() bool {
		return r.audit(false) == string(api.FindingForeign)+"  nf0123456789ab"
	})
	for _, name := range []string{"nf0123456789ab", "innocent", "bystander"} {
		if !strings.Contains(r.names(), name) {
			t.Errorf("%s, which is not ours, is gone: %s", name, r.names())
		}
	}
}

// A container that has given its NIC away is no one that is wanted anything for, and
// is there all the same: as long as it is, it gets none of its own.
func TestTheCensusHasWhoGaveItsNICAway(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	r.engine.run(t, id(1), map[string]string{nic.LabelNetwork: "veth"})
	r.bound(id(1))
	move, claims := nic.NewMoveID(), []nic.ClaimID{r.claims()[id(1)].ID}
	if _, err := r.alloc.Hello(ctx, "vm9", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	_, err := r.alloc.BeginMove(ctx, move, claims, "vm9", "elsewhere")
	if err = errors.Join(err, r.alloc.AimMove(ctx, move, claims, id(9)), r.alloc.BringNICs(ctx, move, claims, "vm9")); err != nil {
		t.Fatal(err)
	}
	r.until("the claim to be the other's", func() bool { return r.alloc.FinishMove(ctx, move, claims) == nil })
	want := string(api.FindingNodeSilent) + "  " // the other node has no agent
	if got := r.audit(true); got != want {
		t.Errorf("the audit finds\n%s\nwant\n%s", got, want)
	}
	if claim, ok := r.claims()[id(1)]; ok {
		t.Errorf("it has a claim again: %+v", claim)
	}
}
