package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/lab/certs"
)

// What is left unread of a body that was refused is not taken for the next request
// on its connection.
func TestS15_TheRestOfABodyIsNoRequest(t *testing.T) {
	t.Parallel()
	ctl := startTLS(t)
	tr := transport(t, issue(t, ctl.ca, certs.Leaf{File: "n1", CommonName: "n1"}))
	for _, size := range []int{1<<20 + 1000, 1<<20 + 300<<10, 2 << 20, 3 << 20} {
		if code, answer, err := ctl.ask(tr, "POST", "/v1/claims", strings.Repeat("GET /v1/version HTTP/1.1\r\nHost: c\r\n\r\n", size/37)); code != http.StatusRequestEntityTooLarge && code != 0 {
			t.Errorf("%d bytes: %d %s, %v", size, code, answer, err)
		}
		for range 2 {
			if code, answer, err := ctl.ask(tr, "POST", "/v1/claims", "{}"); code != http.StatusUnprocessableEntity {
				t.Errorf("the next call after %d bytes: %d %s, %v", size, code, answer, err)
			}
		}
	}
}
