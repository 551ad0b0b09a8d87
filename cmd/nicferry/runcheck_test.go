package main

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab/certs"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// What is mistyped is told before the image is pulled.
func TestRunChecksBeforeItPulls(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]struct {
		code int
		says string
	}{
		"--on fats":               {exitNotFound, "--on: "},
		"--on fast --node n2":     {exitNotFound, "--node: "},
		"--on fast --tenant blue": {exitRefused, "--tenant: node n1 may run containers of default alone, not of blue"},
		"--on reds":               {exitRefused, "--on: network reds is not for tenant default"},
	} {
		r := newRunRig(t, 0)
		r.PutNetwork(api.NetworkView{Network: nic.Network{Name: "reds", Tenants: []string{"red"}}})
		if code := r.run(t, append(strings.Fields(args), "--", "big")...); code != want.code || !strings.Contains(r.errs.String(), want.says) {
			t.Errorf("%s: exit code %d: %s; want %d, %q", args, code, &r.errs, want.code, want.says)
		}
		if _, err := os.Stat(r.asked); !errors.Is(err, os.ErrNotExist) || r.acquired.Load() != 0 {
			t.Errorf("%s: docker was asked for its image, or a NIC reserved: %v", args, err)
		}
	}
}

// A node's certificate is not used to ask for what is not its own.
func TestRunAsANodeDoesNotAskForNetworks(t *testing.T) {
	t.Parallel()
	ca, err := certs.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	node, nodeErr := ca.Node("n1")
	admin, adminErr := ca.Admin()
	if err := errors.Join(nodeErr, adminErr); err != nil {
		t.Fatal(err)
	}
	for pair, want := range map[certs.Pair]bool{node: false, admin: true, {}: false} {
		r := runCommand{app: &app{server: "https://10.0.0.1:7460", files: mtls.Files(pair)}}
		if got := r.sees(); got != want {
			t.Errorf("%s: may look at networks is %v", pair.Cert, got)
		}
	}
}

// An image that is here for another platform is pulled for the one that is asked for.
func TestRunPullsForThePlatform(t *testing.T) {
	t.Parallel()
	const asks = "image inspect --format {{.Os}}/{{.Architecture}} dpdk" // it is linux/amd64's
	for args, c := range map[string]struct{ env, asked string }{
		"--platform linux/arm64 dpdk":     {"", asks + "|pull --platform=linux/arm64 dpdk"},
		"--platform linux/amd64 dpdk":     {"linux/arm64", asks},
		"--platform Linux/x86_64/v2 dpdk": {"", asks},
		"--platform amd64 dpdk":           {"", asks},
		"--platform linux dpdk":           {"", asks},
		"--platform arm dpdk":             {"", asks + "|pull --platform=arm dpdk"},
		"dpdk":                            {"linux/arm64", asks + "|pull dpdk"},
		"--platform= dpdk":                {"linux/arm64", "image inspect --format {{.Id}} dpdk"},
	} {
		r := newRunRig(t, 0)
		r.adopts = true
		a := newApp(&r.out, &r.errs)
		a.getenv = func(name string) string { return map[string]string{"DOCKER_DEFAULT_PLATFORM": c.env}[name] }
		all := append([]string{"--controller", r.address, "run", "--node", "n1", "--docker", r.program, "--on", "fast", "--"}, strings.Fields(args)...)
		if code := a.run(context.WithoutCancel(t.Context()), all); code != exitOK {
			t.Errorf("%s: exit code %d: %s", args, code, &r.errs)
		}
		text, _ := os.ReadFile(r.asked) // not at all
		if got := strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "|"); got != c.asked {
			t.Errorf("%s, by environment %q: docker was asked %q; want %q", args, c.env, got, c.asked)
		}
	}
}
