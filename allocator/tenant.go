package allocator

import (
	"log/slog"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// tenantsOf are the tenants whose containers a node may run, its own first.
func (a *Allocator) tenantsOf(node string) []string {
	if a.opts.TenantsOf != nil {
		if may := a.opts.TenantsOf(node); len(may) > 0 {
			return may
		}
	}
	return []string{nic.DefaultTenant}
}

// entitle settles whose container a claim is of, and says why that one may not
// run on the node. A claim that has anything keeps the tenant that it has it by.
func (a *Allocator) entitle(claim *nic.Claim) *nic.Condition {
	may, asked := a.tenantsOf(claim.Owner.Node), claim.Request.Tenant
	if claim.NIC == "" && !hasIdentity(claim) {
		claim.Tenant = may[0]
		switch {
		case slices.Contains(may, asked):
			claim.Tenant = asked
		case asked != "":
			return a.because(nic.ReasonTenantNotAllowed, "label %s asks for tenant %q; node %s may run containers of %s alone",
				nic.LabelTenant, asked, claim.Owner.Node, strings.Join(may, ", "))
		}
	}
	if !slices.Contains(may, nic.TenantOf(claim.Tenant)) {
		return a.because(nic.ReasonTenantNotAllowed,
			"the container was made for tenant %s, whose containers node %s may not run any more; remove it, or run it on another node",
			nic.TenantOf(claim.Tenant), claim.Owner.Node)
	}
	return nil
}

// unentitled says what the config does not allow the claim's tenant any more;
// "" if there is nothing.
func (a *Allocator) unentitled(claim nic.Claim) string {
	if claim.NIC == "" && !hasIdentity(&claim) {
		return "" // it has nothing to keep
	}
	tenant := nic.TenantOf(claim.Tenant)
	network, known := a.networks[claim.Request.Network]
	switch {
	case !slices.Contains(a.tenantsOf(claim.Owner.Node), tenant):
		return "node " + claim.Owner.Node + " may not run containers of tenant " + tenant + " any more"
	case known && !network.For(tenant):
		return "tenant " + tenant + " may not use network " + network.Name + " any more"
	}
	return ""
}

// nameFor is nameOf for the eyes of a tenant: of another's container it says no
// more than that.
func nameFor(e *edit, tenant string, id nic.ClaimID) string {
	claim, _, found, err := get[nic.Claim](e, claimKey(id))
	if err == nil && found && nic.TenantOf(claim.Tenant) != nic.TenantOf(tenant) {
		return "a container of another tenant"
	}
	return nameOf(e, id)
}

// gatewayFor says for the eyes of a tenant whose gateway an address is.
func (a *Allocator) gatewayFor(tenant, network string) string {
	if a.networks[network].For(tenant) {
		return "the gateway of network " + network
	}
	return "a gateway"
}

// policy are the reasons by which a request is refused for what it asks for, and
// not for want of something.
var policy = []nic.Reason{
	nic.ReasonTenantNotAllowed, nic.ReasonQuotaExceeded, nic.ReasonAddressTaken, nic.ReasonMACTaken,
	nic.ReasonAddressNotAllowed, nic.ReasonBadRequest, nic.ReasonImageLabel,
}

// record has a refusal by policy in the log, once it is committed: one line, and
// not again for as long as the claim hears the same. This one names the holder.
func (a *Allocator) record(e *edit, claim nic.Claim, why nic.Condition) {
	if !slices.Contains(policy, why.Reason) || len(claim.Conditions) == 1 && sayTheSame(claim.Conditions[0], why) {
		return
	}
	holder := e.holder
	e.after = append(e.after, func(store.Rev) {
		a.opts.Log.Warn("request refused", slog.Bool("audit", true), slog.String("reason", string(why.Reason)), slog.String("message", why.Message),
			slog.String("claim", string(claim.ID)), slog.String("tenant", nic.TenantOf(claim.Tenant)), slog.String("node", claim.Owner.Node),
			slog.String("container", claim.Container), slog.String("network", claim.Request.Network), slog.String("holder", string(holder)))
	})
}
