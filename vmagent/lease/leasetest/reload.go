package leasetest

import (
	"encoding/json"
	"testing"
)

// Reload takes a lease through JSON, as the agent's cache does.
func Reload[L any](t testing.TB, l L) *L {
	t.Helper()
	b, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var back L
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	return &back
}
