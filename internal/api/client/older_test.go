package client_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// F54: a controller that is put back to the release before refuses a new field, and
// gets none from then on, without a new hello.
func TestF54_AControllerThatIsPutBack(t *testing.T) {
	t.Parallel()
	var refused, taken int
	c := stub(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		switch {
		case err != nil:
			t.Error(err)
		case strings.HasSuffix(r.URL.Path, "/hello"):
			fmt.Fprint(w, `{"name":"n1","session":1,"api":1}`)
		case strings.Contains(string(body), `"steps"`):
			refused++
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"code":"invalid","message":"unexpected property"}`)
		case strings.Contains(string(body), "nic-bad"):
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"code":"invalid","message":"the NIC is no good"}`)
		default:
			taken++
			w.WriteHeader(http.StatusNoContent)
		}
	})
	if _, err := c.Hello(t.Context(), "n1", nic.Inventory{}); err != nil {
		t.Fatal(err)
	}
	report := func(id nic.ID) error {
		return c.Report(t.Context(), "n1", nic.NodeReport{Session: 1, NICs: []nic.Observed{{NIC: id, Steps: []nic.NodeStep{{Name: nic.StepFound}}}}})
	}
	if err := report("nic-bad"); !api.IsInvalid(err) {
		t.Errorf("got %v, want invalid", err)
	}
	for range 3 {
		if err := report("nic-1"); err != nil {
			t.Error(err)
		}
	}
	if refused != 2 || taken != 3 {
		t.Errorf("%d reports were refused and %d taken, want 2 and 3", refused, taken)
	}
}
