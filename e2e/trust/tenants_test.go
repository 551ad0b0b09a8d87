//go:build linux

package trust

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/fleet"
)

// Two tenants, each with a network of its own, and one that both may use, whose
// cards are kept in reserve.
const (
	tenantsNetworks = `  - name: shopnet
    provider: local
    addressing: ipam
    tenants: [shop]
    cooldown: 1s
    veth: {bridge: nf-shop, owned: true}
    subnets: [{prefix: 10.78.0.0/24, ranges: [10.78.0.100-10.78.0.199]}]
  - name: banknet
    provider: local
    addressing: ipam
    tenants: [bank]
    cooldown: 1s
    veth: {bridge: nf-bank, owned: true}
    subnets: [{prefix: 10.79.0.0/24, ranges: [10.79.0.100-10.79.0.199]}]
  - name: both
    provider: local
    addressing: ipam
    tenants: [shop, bank]
    cooldown: 1s
    keep: 0s
    pool: {max: 1, idle: 5s}
    veth: {bridge: nf-both, owned: true}
    subnets: [{prefix: 10.80.0.0/24, ranges: [10.80.0.100-10.80.0.199]}]
`
	tenantsConfig = `tenants: [{name: shop}, {name: bank}]
nodes:
  vm1: {tenants: [shop]}
  vm2: {tenants: [bank, shop]}
`
)

func startTenants(t *testing.T) (r *rig, shop, bank *fleet.Agent) {
	t.Helper()
	r = start(t, fleet.Options{Agents: 2, Networks: tenantsNetworks, Controller: tenantsConfig})
	return r, r.Agents[0], r.Agents[1]
}

// What a container asks for of another tenant's is refused with words that name
// nothing of the other's, is audited, and makes nothing.
func TestS1_AnotherTenantsIsRefusedAndAudited(t *testing.T) {
	t.Parallel()
	r, shop, bank := startTenants(t)
	r.run(bank, "vault", "nicferry.network=banknet")
	addr := r.address(bank, "vault")
	mac := r.macOf(bank, "vault")
	before := r.cli("get", "nics", "-o", "name")
	for name, tc := range map[string]struct{ labels, reason string }{
		"network": {"nicferry.network=banknet", "TenantNotAllowed"},
		"tenant":  {"nicferry.network=banknet nicferry.tenant=bank", "TenantNotAllowed"},
		"address": {"nicferry.network=shopnet nicferry.ip=" + addr.String(), "AddressNotAllowed"},
		"mac":     {"nicferry.network=shopnet nicferry.mac=" + mac, "MAC[A-Z]"},
	} {
		r.run(shop, name, strings.Fields(tc.labels)...)
		told := r.await("refused:"+tc.reason, func() (string, error) {
			return r.CLI(t.Context(), "get", "claims", name, "--no-headers", "-o", "wide")
		})
		if strings.Contains(told, "vault") {
			t.Errorf("%s: it names the other's container: %s", name, told)
		}
		claim := strings.Fields(told)[0]
		if audited := regexp.MustCompile(`(?m)^.*"request refused".*` + claim + `.*$`).FindString(r.Log()); !strings.Contains(audited, `"audit":true`) {
			t.Errorf("%s: not audited: %q", name, audited)
		}
		r.await(tc.reason, func() (string, error) { return r.CLI(t.Context(), "events", "--warnings", "--claim", name) })
	}
	if after := r.cli("get", "nics", "-o", "name"); after != before {
		t.Errorf("NICs were made: before\n%safter\n%s", before, after)
	}
}

// A card that one tenant has had is not the next one's: another MAC, and nothing
// of what was on it.
func TestS14_AnotherTenantGetsAnotherCard(t *testing.T) {
	t.Parallel()
	r, _, bank := startTenants(t)
	r.run(bank, "first", "nicferry.network=both", "nicferry.tenant=shop")
	addr, mac := r.address(bank, "first"), r.macOf(bank, "first")
	_, err := bank.Docker(t.Context(), "rm", "-f", "first")
	r.do(err)
	r.await("spare", func() (string, error) { return r.CLI(t.Context(), "get", "nics") })
	r.run(bank, "second", "nicferry.network=both")
	now := r.address(bank, "second") // the last one's, if that has cooled down by now
	shown, err := bank.Docker(t.Context(), "exec", "second", "ip", "addr", "show", "dev", "eth0")
	r.do(err)
	if got := r.macOf(bank, "second"); got == mac || strings.Count(shown, "inet ") != 1 || !strings.Contains(shown, now.String()+"/") {
		t.Errorf("its own is %s, and of the last one's %s and %s it has:\n%s", now, mac, addr, shown)
	}
}

// Nobody gets an answer without a certificate, a node none about others, a viewer
// may change nothing; and containers do not reach the machine's metadata.
func TestS15_NobodyIsAnsweredAndMetadataIsOutOfReach(t *testing.T) {
	t.Parallel()
	r, shop, _ := startTenants(t)
	people := t.TempDir()
	r.cli("certificate", "create", "eve", "--role", "viewer", "--out", people)
	viewer := []string{"--ca", people + "/ca.pem", "--cert", people + "/eve.pem", "--key", people + "/eve.key"}
	id := func(name string) string { return filepath.Join(shop.IdentityDir(), name) }
	node := []string{"--ca", id("ca.pem"), "--cert", id("cert.pem"), "--key", id("key.pem")}
	for _, tc := range []struct {
		who  []string
		args string
		why  string // empty: it works
	}{
		{nil, "get nodes", "needs a CA, a certificate and a key"},
		{viewer, "get nodes", ""},
		{viewer, "token create --node vm2", "is for admins"},
		{viewer, "node revoke vm2 --yes", "is for admins"},
		{viewer, "audit --fix", "is for admins"},
		{node, "get nodes", "is for viewers and admins"},
		{node, "get claims", "is for viewers and admins"},
		{node, "token create --node vm2", "is for admins"},
		{node, "certificate create mallory --role admin --out " + people, "is for admins"},
	} {
		args := append(append([]string{"--controller", r.Address()}, tc.who...), strings.Fields(tc.args)...)
		out, err := shop.Machine.Run(t.Context(), r.Program("nicferry"), args...)
		if text := fmt.Sprint(err); (err == nil) != (tc.why == "") || !strings.Contains(text, tc.why) && err != nil {
			t.Errorf("%s: %q, %v; want %q", tc.args, out, err, tc.why)
		}
	}
	r.run(shop, "web", "nicferry.network=shopnet")
	r.address(shop, "web")
	routes, err := shop.Docker(t.Context(), "exec", "web", "ip", "route", "show")
	r.do(err)
	for _, metadata := range []string{"169.254.169.254", "100.100.100.200"} {
		if !strings.Contains(routes, "blackhole "+metadata) {
			t.Errorf("%s is not out of reach:\n%s", metadata, routes)
		}
	}
}

// macOf is the MAC of the container's eth0.
func (r *rig) macOf(a *fleet.Agent, container string) string {
	r.t.Helper()
	mac, err := a.Docker(context.WithoutCancel(r.t.Context()), "exec", container, "cat", "/sys/class/net/eth0/address")
	r.do(err)
	return strings.TrimSpace(mac)
}
