package allocator

import (
	"context"
	"fmt"

	"github.com/nicferry/nicferry/internal/api"
)

// Audit compares what the store, the providers and the nodes say, each asked
// afresh, and returns every difference with what would mend it. With fix it
// begins to mend what can be: the life cycle does the rest. It works with
// nobody's help but the store's: who does not answer is told.
func (a *Allocator) Audit(ctx context.Context, fix bool) (api.Audit, error) {
	f, err := a.gather(ctx)
	if err != nil {
		return api.Audit{}, fmt.Errorf("audit: %w", err)
	}
	if fix && !a.leading() {
		return api.Audit{}, fmt.Errorf("audit: %w: this controller does not lead, and mends nothing; ask the one that does", ErrRefused)
	}
	audit := api.Audit{Findings: []api.Finding{}, Counted: len(f.after.nics), Sweeps: a.Sweeps()}
	for _, found := range f.compare() {
		if fix && found.does != tellOnly {
			err := a.mend(ctx, found)
			a.tellMended("audit", found, err)
			if found.Fixed = err == nil; !found.Fixed {
				found.Error = err.Error()
			}
		}
		audit.Findings = append(audit.Findings, found.Finding)
	}
	return audit, nil
}

// tellMended tells each act with its reason.
func (a *Allocator) tellMended(who string, f finding, err error) {
	log := a.opts.Log.With("by", who, "kind", f.Kind, "nic", f.NIC, "claim", f.Claim, "node", f.Node, "provider", f.Provider,
		"link", f.Link, "message", f.Message, "remedy", f.Remedy)
	of := api.Event{NIC: f.NIC, Claim: f.Claim, Node: f.Node}
	if err != nil {
		log.Warn("difference not mended", "err", err)
		of.Type, of.Reason, of.Message = api.EventWarning, newsUnmended, fmt.Sprintf("%s: %s: %s", f.Message, f.Remedy, err)
	} else {
		log.Warn("difference is being mended")
		of.Reason, of.Message = newsMended, fmt.Sprintf("%s: %s", f.Message, f.Remedy)
	}
	a.opts.Events.Add(of)
}
