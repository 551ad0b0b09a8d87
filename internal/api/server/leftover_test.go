package server_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/certs"
)

// What is left unread of a body that was refused is not taken for the next request
// on its connection, which ends.
func TestS15_TheRestOfABodyIsNoRequest(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	tr := transport(t, issue(t, ctl.ca, certs.Leaf{File: "n1", CommonName: "n1"}))
	req := must(http.NewRequestWithContext(t.Context(), "POST", "https://"+ctl.address+"/v1/claims", strings.NewReader(strings.Repeat("x", 3<<20))))
	req.Header.Set("Content-Type", "application/json")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if answer, err := io.ReadAll(resp.Body); resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
		t.Errorf("answered is %d, and the connection ends: %v; %s, %v", resp.StatusCode, resp.Close, answer, err)
	}
}
