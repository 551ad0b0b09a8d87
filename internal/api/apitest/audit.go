package apitest

import (
	"context"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
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
