package daemon_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/daemon"
)

func TestClaiming(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := daemon.Claiming(slog.New(slog.NewTextHandler(&out, nil)), func(nic string) string { return "claim-of-" + nic })
	log.With("provider", "vms").Warn("one", "nic", "n1", "domain", "d")
	log.Warn("two", "nic", "n1", "claim", "c")
	log.Warn("three", "domain", "d")
	for i, want := range []string{"provider=vms nic=n1 domain=d claim=claim-of-n1", "nic=n1 claim=c", "msg=three domain=d"} {
		if line := strings.Split(out.String(), "\n")[i]; !strings.HasSuffix(line, want) {
			t.Errorf("got %q, want it to end with %q", line, want)
		}
	}
}
