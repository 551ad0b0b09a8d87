package apitest

import (
	"context"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// PutFindings is what the next audits find. Those with a remedy are gone after
// a fix.
func (b *Backend) PutFindings(found ...api.Finding) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.findings = found
}

// Audit returns what PutFindings was given.
func (b *Backend) Audit(_ context.Context, fix bool) (api.Audit, error) {
	leave, err := b.enter("Audit")
	defer leave()
	audit := api.Audit{Findings: slices.Clone(b.findings), Counted: len(b.nics)}
	if audit.Findings == nil {
		audit.Findings = []api.Finding{}
	}
	if err != nil || !fix {
		return audit, err
	}
	for i := range audit.Findings {
		audit.Findings[i].Fixed = audit.Findings[i].Remedy != ""
	}
	b.findings = slices.DeleteFunc(b.findings, func(f api.Finding) bool { return f.Remedy != "" })
	return audit, nil
}

// ForgetNode drops the node with its claims and NICs. One that is ready is
// refused.
func (b *Backend) ForgetNode(_ context.Context, node string, dryRun bool) (api.Forgotten, error) {
	leave, err := b.enter("ForgetNode")
	defer leave()
	given := api.Forgotten{Node: node, Claims: []api.GivenUp{}, NICs: []nic.ID{}}
	n, ok := b.nodes[node]
	switch {
	case err != nil:
		return given, err
	case !ok:
		return given, missing("node", node)
	case n.Phase == nic.NodeReady:
		return given, &api.Error{Code: api.CodeRefused, Message: "node " + node + " reports; end its agent first"}
	}
	for _, c := range sorted(b.claims) {
		if c.Owner.Node == node {
			given.Claims = append(given.Claims, api.GivenUp{Claim: c.ID, Container: c.Container, Identity: c.Identity})
		}
	}
	for _, c := range sorted(b.nics) {
		if c.Node == node {
			given.NICs = append(given.NICs, c.ID)
		}
	}
	if dryRun {
		return given, nil
	}
	for _, c := range given.Claims {
		delete(b.claims, c.Claim)
	}
	for _, id := range given.NICs {
		delete(b.nics, id)
	}
	delete(b.nodes, node)
	b.commit()
	return given, nil
}

// PutTroubles is what Status says from then on.
func (b *Backend) PutTroubles(troubles ...nic.Condition) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.troubles = troubles
}

// Status returns what PutTroubles was given.
func (b *Backend) Status(context.Context) []nic.Condition {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.troubles)
}
