package allocator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/internal/store/memstore"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// tenantRig is a rig with two tenants: vm1 is blue's alone, vm2 red's, vm3 serves
// both. Each has a network of its own on one wire, and one that they share.
type tenantRig struct {
	*rig
	log     *bytes.Buffer
	tenants []nic.Tenant
	of      map[string][]string
	// maxClaims is how many claims a node may have; 0 is the default.
	maxClaims int
}

func tenantNetworks() []nic.Network {
	subnet := func(first, last string) []nic.Subnet {
		return []nic.Subnet{{
			Prefix: netip.MustParsePrefix("10.0.0.0/24"),
			Ranges: []nic.Range{{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)}},
		}}
	}
	network := func(name, first, last string, tenants ...string) nic.Network {
		return nic.Network{
			Name: name, Provider: "fake", Addressing: nic.AddrIPAM, Space: "default", Tenants: tenants, Subnets: subnet(first, last),
			Hold: nic.Duration(time.Minute), Cooldown: nic.Duration(30 * time.Second), Keep: nic.Duration(time.Hour),
		}
	}
	return []nic.Network{
		network("blue", "10.0.0.10", "10.0.0.19", "blue"),
		network("red", "10.0.0.20", "10.0.0.29", "red"),
		network("shared", "10.0.0.30", "10.0.0.31", "blue", "red"),
		network("nobodys", "10.0.0.40", "10.0.0.49"),
	}
}

// tenanted runs test in virtual time, with nodes that have said hello.
func tenanted(t *testing.T, tenants []nic.Tenant, test func(r *tenantRig)) {
	synctest.Test(t, func(t *testing.T) { newTenantRig(t, tenants, fake.Options{}).through(test) })
}

func newTenantRig(t *testing.T, tenants []nic.Tenant, cloud fake.Options) *tenantRig {
	return &tenantRig{
		rig:     &rig{t: t, store: memstore.New(memstore.Options{}), cloud: fake.New(cloud), networks: tenantNetworks()},
		log:     &bytes.Buffer{},
		tenants: tenants,
		of:      map[string][]string{"vm1": {"blue"}, "vm2": {"red"}, "vm3": {"red", "blue"}},
	}
}

// through runs test from the nodes' hello to the end of the controller.
func (r *tenantRig) through(test func(r *tenantRig)) {
	r.begin()
	for node := range r.of {
		if _, err := r.alloc.Hello(r.t.Context(), node, nic.Inventory{Boot: "b1"}); err != nil {
			r.t.Fatal(err)
		}
	}
	test(r)
	r.stop()
	if err := r.store.Close(); err != nil {
		r.t.Error(err)
	}
}

func (r *tenantRig) begin() {
	r.t.Helper()
	r.startLogging(allocator.Options{
		Store: r.store, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks,
		Tenants: r.tenants, TenantsOf: func(node string) []string { return r.of[node] }, MaxClaims: r.maxClaims,
	}, slog.New(slog.NewJSONHandler(r.log, nil)))
}

// ask asks for a NIC for the container name (4 hex digits) on the node.
func (r *tenantRig) ask(node, name string, req nic.Request) nic.Claim {
	r.t.Helper()
	req.Interface = "eth0"
	o := owner(name)
	o.Node = node
	claim, err := r.alloc.Acquire(r.t.Context(), o, name, req)
	if err != nil {
		r.t.Fatalf("acquire for %s on %s: %v", name, node, err)
	}
	synctest.Wait()
	return claim
}

// release ends a claim that the node has had, with its NIC.
func (r *tenantRig) release(node string, claim nic.Claim) {
	r.t.Helper()
	if err := r.alloc.Release(r.t.Context(), claim.ID, claim.Epoch); err != nil {
		r.t.Fatal(err)
	}
	r.wait(time.Second)
	view, err := r.alloc.Node(r.t.Context(), node)
	if err != nil {
		r.t.Fatal(err)
	}
	err = r.alloc.Report(r.t.Context(), node, nic.NodeReport{Session: view.Session, NICs: []nic.Observed{{NIC: claim.NIC, State: nic.ObservedClean}}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.wait(5 * time.Second)
}

// records are the keys of the store, but for claims and their index.
func (r *tenantRig) records() string {
	all, _, err := r.store.List(r.t.Context(), "", "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	var keys []string
	for _, record := range all {
		if !strings.HasPrefix(record.Key, "claim/") && !strings.HasPrefix(record.Key, "owner/") {
			keys = append(keys, fmt.Sprintf("%s@%d", record.Key, record.Rev))
		}
	}
	return strings.Join(keys, "\n")
}

// audited are the log's lines of the claim with audit=true.
func (r *tenantRig) audited(id nic.ClaimID) (lines []string) {
	for line := range strings.Lines(r.log.String()) {
		var said struct {
			Audit bool
			Claim nic.ClaimID
		}
		if err := json.Unmarshal([]byte(line), &said); err != nil {
			r.t.Fatalf("log line %q: %v", line, err)
		}
		if said.Audit && said.Claim == id {
			lines = append(lines, line)
		}
	}
	return lines
}

func addrs(all ...string) (out []netip.Addr) {
	for _, a := range all {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// S1: what another tenant has is refused, whichever label asks for it, with
// words that do not tell who that is; once in the log; and nothing is made.
func TestS1_AnotherTenantsIsRefused(t *testing.T) {
	t.Parallel()
	tenanted(t, nil, func(r *tenantRig) {
		held := r.ask("vm2", "abcd", nic.Request{Network: "red"})
		shared := r.ask("vm2", "abce", nic.Request{Network: "shared"})
		if held.Tenant != "red" || len(held.Identity.Addrs) != 1 || shared.NIC == "" {
			t.Fatalf("red has %+v and %+v", held, shared)
		}
		r.wait(5 * time.Second)
		addr, mac := held.Identity.Addrs[0].Addr(), held.Identity.MAC
		labelled := func(name, value string) nic.Request {
			all := nic.ParseLabels(map[string]string{"nicferry.network": "blue", name: value})
			return all[0]
		}
		before, calls := r.records(), len(r.cloudNICs())
		n := 0
		for name, c := range map[string]struct {
			node   string
			req    nic.Request
			reason nic.Reason
		}{
			"its network":               {"vm1", nic.Request{Network: "red"}, nic.ReasonTenantNotAllowed},
			"one that nobody may use":   {"vm1", nic.Request{Network: "nobodys"}, nic.ReasonTenantNotAllowed},
			"its address":               {"vm1", nic.Request{Network: "blue", Addrs: addrs(addr.String())}, nic.ReasonAddressTaken},
			"its address, shared range": {"vm1", nic.Request{Network: "shared", Addrs: addrs(shared.Identity.Addrs[0].Addr().String())}, nic.ReasonAddressTaken},
			"its MAC":                   {"vm1", nic.Request{Network: "blue", MAC: mac}, nic.ReasonMACTaken},
			"a VLAN":                    {"vm1", labelled("nicferry.vlan", "100"), nic.ReasonBadRequest},
			"a VLAN, long":              {"vm1", labelled("nicferry.nic.eth0", "network=blue,vlan=100"), nic.ReasonBadRequest},
			"its name":                  {"vm1", nic.Request{Network: "red", Tenant: "red"}, nic.ReasonTenantNotAllowed},
			"its name, own network":     {"vm1", nic.Request{Network: "blue", Tenant: "red"}, nic.ReasonTenantNotAllowed},
			"on a node of both":         {"vm3", nic.Request{Network: "red", Tenant: "blue"}, nic.ReasonTenantNotAllowed},
		} {
			n++
			claim := r.ask(c.node, fmt.Sprintf("%04x", n), c.req)
			if claim.Phase != nic.ClaimRefused || len(claim.Conditions) != 1 || claim.Conditions[0].Reason != c.reason || claim.NIC != "" {
				t.Errorf("%s: got %+v, want a refusal with %s", name, claim, c.reason)
				continue
			}
			if claim.Tenant != "blue" && c.node == "vm1" {
				t.Errorf("%s: the claim is of tenant %q", name, claim.Tenant)
			}
			said := claim.Conditions[0].Message
			for _, secret := range []string{"abcd", "abce", string(held.ID), string(shared.ID), "vm2", `tenant red`} {
				if strings.Contains(said, secret) {
					t.Errorf("%s: %q tells %q", name, said, secret)
				}
			}
			again := r.ask(c.node, fmt.Sprintf("%04x", n), c.req)
			if lines := r.audited(claim.ID); again.ID != claim.ID || len(lines) != 1 || !strings.Contains(lines[0], string(c.reason)) {
				t.Errorf("%s: in the log: %q", name, lines)
			}
		}
		r.wait(time.Minute)
		if after := r.records(); after != before || len(r.cloudNICs()) != calls {
			t.Errorf("something was made; before:\n%s\nafter:\n%s", before, after)
		}
		if lines := strings.Count(r.log.String(), `"audit":true`); lines != n {
			t.Errorf("%d lines of audit for %d refusals", lines, n)
		}
	})
}

func (r *rig) cloudNICs() map[nic.ID]nic.Seen {
	r.t.Helper()
	all, err := r.cloud.List(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	byID := map[nic.ID]nic.Seen{}
	for _, s := range all {
		byID[s.NIC] = s
	}
	return byID
}

// S1: a name's identity is kept for its tenant alone. What it was is open to
// another only once it is forgotten.
func TestS1_AKeptIdentityStaysItsTenants(t *testing.T) {
	t.Parallel()
	tenanted(t, nil, func(r *tenantRig) {
		first := r.ask("vm3", "aaaa", nic.Request{Network: "shared", Tenant: "red"})
		r.wait(5 * time.Second)
		r.release("vm3", r.claim(first.ID))
		if got := r.claim(first.ID); got.ID != "" {
			t.Fatalf("claim is still there: %+v", got)
		}
		addr := first.Identity.Addrs[0].Addr()
		other := r.ask("vm3", "aaaa", nic.Request{Network: "shared", Tenant: "blue"})
		if other.Tenant != "blue" || other.NIC == "" || other.Identity.MAC == first.Identity.MAC || other.Identity.Addrs[0].Addr() == addr {
			t.Errorf("red had %+v, blue got %+v", first.Identity, other.Identity)
		}
		r.wait(time.Minute) // it has cooled down
		for i, req := range []nic.Request{{Network: "shared", Addrs: addrs(addr.String())}, {Network: "shared", MAC: first.Identity.MAC}} {
			if got := r.ask("vm1", fmt.Sprintf("000%d", i), req); got.Phase != nic.ClaimRefused {
				t.Errorf("blue asked for red's %+v and got %+v", req, got.Identity)
			}
		}
		if got := r.ask("vm2", "bbbb", nic.Request{Network: "shared", Addrs: addrs(addr.String())}); got.NIC == "" {
			t.Errorf("red did not get its own again: %+v", got)
		}
	})
}

// An exhausted range tells a tenant who of its own holds it, and no others.
func TestS1_AFullRangeNamesNoOtherTenants(t *testing.T) {
	t.Parallel()
	tenanted(t, nil, func(r *tenantRig) {
		r.ask("vm2", "dead", nic.Request{Network: "shared"})
		r.ask("vm1", "beef", nic.Request{Network: "shared"})
		got := r.ask("vm1", "0001", nic.Request{Network: "shared"})
		if got.Phase != nic.ClaimRefused || got.Conditions[0].Reason != nic.ReasonExhausted {
			t.Fatalf("got %+v", got)
		}
		if said := got.Conditions[0].Message; !strings.Contains(said, "beef") || strings.Contains(said, "dead") || strings.Contains(said, "vm2") {
			t.Errorf("blue reads %q", said)
		}
	})
}

// The config takes a right away: who has a NIC keeps it and is told so; nothing
// new is given by it.
func TestARightThatIsTakenAway(t *testing.T) {
	t.Parallel()
	tenanted(t, nil, func(r *tenantRig) {
		claim := r.ask("vm1", "aaaa", nic.Request{Network: "shared"})
		r.wait(5 * time.Second)
		r.stop()
		r.networks[2].Tenants = []string{"red"}
		r.log.Reset()
		r.begin()
		r.wait(10 * time.Second)
		kept := r.claim(claim.ID)
		if kept.NIC != claim.NIC || len(kept.Conditions) != 1 || kept.Conditions[0].Reason != nic.ReasonConfigChanged {
			t.Errorf("got %+v", kept)
		}
		if lines := r.audited(claim.ID); len(lines) != 1 {
			t.Errorf("in the log: %q", lines)
		}
		if got := r.ask("vm1", "bbbb", nic.Request{Network: "shared"}); got.Phase != nic.ClaimRefused || got.Conditions[0].Reason != nic.ReasonTenantNotAllowed {
			t.Errorf("got %+v", got)
		}
	})
}

// What was recorded before there were tenants is the default one's.
func TestRecordsWithoutTenant(t *testing.T) {
	t.Parallel()
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.acquire("aaaa", "web")
		r.wants(claim.ID, nic.ClaimReady, 10*time.Second)
		r.stop()
		for _, prefix := range []string{"claim/", "nic/", "addr/", "mac/"} {
			all, _, err := r.store.List(t.Context(), prefix, "", 0)
			if err != nil || len(all) == 0 {
				t.Fatal(err, len(all))
			}
			for _, record := range all {
				var v map[string]any
				if err := json.Unmarshal(record.Value, &v); err != nil {
					t.Fatal(err)
				}
				delete(v, "tenant")
				op, err := store.UpdateJSON(record.Key, v, record.Rev)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := r.store.Commit(t.Context(), op); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.start()
		r.wait(10 * time.Second)
		if got := r.claim(claim.ID); got.NIC != claim.NIC || len(got.Conditions) > 0 || got.Phase != nic.ClaimReady {
			t.Errorf("got %+v", got)
		}
		if got := r.acquire("bbbb", "web", claim.Identity.Addrs[0].Addr().String()); !strings.Contains(got.Conditions[0].Message, "aaaa") {
			t.Errorf("a container of the same tenant hears %+v", got.Conditions)
		}
	})
}

// S1: what a node says that its containers have keeps no address from another
// tenant, and only so much of its word is kept.
func TestS1_ANodesWordTakesNoOtherTenantsAddress(t *testing.T) {
	t.Parallel()
	tenanted(t, nil, func(r *tenantRig) {
		held := r.ask("vm2", "abcd", nic.Request{Network: "red"})
		r.wait(5 * time.Second)
		node, err := r.alloc.Node(t.Context(), "vm2")
		if err != nil {
			t.Fatal(err)
		}
		o := nic.Observed{NIC: held.NIC, Claim: held.ID, Epoch: held.Epoch, State: nic.ObservedIn, Running: true}
		for i := range 30 { // all of blue's, and more
			o.Addrs = append(o.Addrs, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + i)}), 24))
		}
		if err := r.alloc.Report(t.Context(), "vm2", nic.NodeReport{Session: node.Session, NICs: []nic.Observed{o}}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if own := r.ask("vm2", "abce", nic.Request{Network: "red", Addrs: addrs("10.0.0.29")}); own.Phase != nic.ClaimRefused {
			t.Errorf("red's own word does not count with red: %+v", own)
		}
		for name, req := range map[string]nic.Request{
			"0001": {Network: "blue"}, "0002": {Network: "blue", Addrs: addrs("10.0.0.15")}, "0003": {Network: "shared"},
		} {
			if got := r.ask("vm1", name, req); got.NIC == "" {
				t.Errorf("blue asked for %+v and reads %+v", req, got.Conditions)
			}
		}
	})
}

// A node may say whatever it likes of its NICs; so much is kept.
func TestANodesWordIsBounded(t *testing.T) {
	t.Parallel()
	tenanted(t, nil, func(r *tenantRig) {
		held := r.ask("vm2", "abcd", nic.Request{Network: "red"})
		r.wait(5 * time.Second)
		node, err := r.alloc.Node(t.Context(), "vm2")
		if err != nil {
			t.Fatal(err)
		}
		o := nic.Observed{NIC: held.NIC, Claim: held.ID, Epoch: held.Epoch, State: nic.ObservedIn, Running: true}
		for i := range 500 {
			o.Addrs = append(o.Addrs, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 24))
		}
		for i := range 100 {
			o.Conditions = append(o.Conditions, nic.Condition{
				Reason: nic.Reason(fmt.Sprintf("%d%s", i, strings.Repeat("r", 5000))), Message: strings.Repeat("ü", 5000) + "!",
			})
		}
		if err := r.alloc.Report(t.Context(), "vm2", nic.NodeReport{Session: node.Session, NICs: []nic.Observed{o}}); err != nil {
			t.Fatal(err)
		}
		record, err := r.store.Get(t.Context(), "observed/"+string(held.NIC))
		if err != nil {
			t.Fatal(err)
		}
		if len(record.Value) > 64<<10 || !utf8.Valid(record.Value) || strings.Contains(string(record.Value), `\ufffd`) {
			t.Errorf("%d bytes are kept", len(record.Value))
		}
		rev := record.Rev
		if err := r.alloc.Report(t.Context(), "vm2", nic.NodeReport{Session: node.Session, NICs: []nic.Observed{o}}); err != nil {
			t.Fatal(err)
		}
		if record, err = r.store.Get(t.Context(), record.Key); err != nil || record.Rev != rev {
			t.Errorf("the same again was written again: %v", err)
		}
	})
}
