package vmagent

import (
	"strings"

	"github.com/nicferry/nicferry/nic"
)

// whose is what a line of the log about a worker says besides: the NICs and the
// claims that it works for. A container may have several.
func (ws *wishes) whose(key string) []any {
	var nics, claims []string
	for _, w := range ws.of(key) {
		if w.NIC != "" {
			nics = append(nics, string(w.NIC))
		}
		if w.Claim != "" {
			claims = append(claims, string(w.Claim))
		}
	}
	return []any{"nic", strings.Join(nics, ","), "claim", strings.Join(claims, ",")}
}

// claimOf is the claim of a wanted NIC; empty for none.
func (ws *wishes) claimOf(id nic.ID) nic.ClaimID {
	for _, w := range ws.all() {
		if w.NIC == id {
			return w.Claim
		}
	}
	return ""
}
