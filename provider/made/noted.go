package made

import (
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

// Noted is what the ledger has of a NIC with that placed spec once it has been created and
// attached, and what is seen of it then.
func (n *NICs) Noted(spec nic.Spec, at nic.Place) (map[string][]byte, nic.Seen, error) {
	h := ledgerlog.History{ID: spec.NIC, Known: true, Spec: spec, Last: ledgerlog.Step{Do: ledgerlog.Attach, Place: at}}
	records, err := h.Records()
	if err != nil {
		return nil, nic.Seen{}, n.Failing("note", spec.NIC)(err)
	}
	return records, seenAs(h, nic.StateAttached), nil
}
