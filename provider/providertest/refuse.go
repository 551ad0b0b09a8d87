package providertest

import (
	"errors"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// WantRefused wants that a provider that is a provider.Placer neither creates such a
// spec nor places it on the node, for a reason with the words in it.
func WantRefused(t *testing.T, p provider.Provider, spec nic.Spec, node, words string) {
	t.Helper()
	placer, ok := provider.As[provider.Placer](p)
	if !ok {
		t.Fatal("it places nothing")
	}
	_, createErr := p.Create(t.Context(), spec)
	_, placeErr := placer.Place(t.Context(), spec, nic.Node{Name: node})
	for op, err := range map[string]error{"Create": createErr, "Place": placeErr} {
		if !errors.Is(err, provider.ErrInvalid) || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v; want an invalid %s", op, err, words)
		}
	}
}
