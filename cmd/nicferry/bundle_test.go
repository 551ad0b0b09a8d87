package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/server"
	"github.com/nicferry/nicferry/internal/bundle"
	"github.com/nicferry/nicferry/nic"
)

// planted is in the midst of every secret below.
const planted = "s3cretCanary"

const plantedKey = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE" + planted + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n-----END EC PRIVATE KEY-----\n"

const plantedToken = "nft1_eyJjb250cm9sbGVycyI6W10" + planted + "aaaa"

// plantFile writes a file below root.
func plantFile(t *testing.T, root, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// plantDocker serves a Docker engine whose every answer has secrets.
func plantDocker(t *testing.T, socket string) {
	t.Helper()
	answers := map[string]string{
		"/version":         `{"Version":"24.0.7","ApiVersion":"1.43","Os":"linux","BuildTime":"` + planted + `"}`,
		"/info":            `{"ServerVersion":"24.0.7","HttpProxy":"http://u:` + planted + `@p:1","Labels":["key=` + planted + `"],"Warnings":["proxy http://u:` + planted + `@p:1"]}`,
		"/containers/json": `[{"Id":"abc","Names":["/web"],"Command":"run --password ` + planted + `","State":"running","Labels":{"nicferry.network":"lab","nicferry.note":"password=` + planted + `","api.token":"` + planted + `"},"Config":{"Env":["A=` + planted + `"]}}]`,
	}
	ln, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, answers[r.URL.Path]) })}
	done := make(chan struct{})
	go func() { defer close(done); srv.Serve(ln) }()
	t.Cleanup(func() { srv.Close(); <-done })
}

// plantController serves the API of a controller whose people wrote secrets
// where they do not belong.
func plantController(t *testing.T, socket string) {
	t.Helper()
	backend := fixtures()
	backend.PutTroubles(nic.Condition{Reason: nic.ReasonUnreachable, Message: "dial qemu+ssh://root:" + planted + "@kvm1/system", Since: time.Now()})
	backend.PutClaim(api.ClaimView{Claim: nic.Claim{
		ID: "clm-00000000000000f1", Container: "x --token " + plantedToken,
		Conditions: []nic.Condition{{Reason: nic.ReasonNodeError, Message: plantedKey, Since: time.Now()}},
	}})
	log := slog.New(slog.DiscardHandler)
	ln, err := server.Listen(socket, "", log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	handler := server.New(server.Options{Backend: backend, Log: log})
	go func() {
		defer close(done)
		server.Run(ctx, ln, handler, log)
	}()
	t.Cleanup(func() { stop(); <-done })
}

// plantedMachine has a secret wherever the bundle looks, and beside it.
func plantedMachine(t *testing.T) (root string) {
	t.Helper()
	root, err := os.MkdirTemp("", "nf") // short, as sockets must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	plantFile(t, root, "etc/nicferry/agent.yaml", "version: 1\nnode: n1\n# join "+plantedToken+"\npassword: "+planted+"\nkey: |\n  "+strings.ReplaceAll(plantedKey, "\n", "\n  ")+"\n", 0o644)
	plantFile(t, root, "etc/nicferry/nicferryd.yaml", "version: 1\nproviders: [{name: l, kind: libvirt, libvirt: {uri: \"qemu+ssh://root:"+planted+"@h/system\"}}]\n", 0o644)
	plantFile(t, root, "var/lib/nicferry/agent/key.pem", plantedKey, 0o600)
	plantFile(t, root, "var/lib/nicferry/nicferry.db", planted, 0o600)
	plantFile(t, root, "proc/cmdline", "quiet luks.passphrase="+planted+" ip=10.9.8.7", 0o644)
	plantFile(t, root, "proc/sys/kernel/osrelease", "6.1.0", 0o644)
	plantFile(t, root, "etc/os-release", "ID=debian\nSUPPORT_TOKEN="+planted+"\n", 0o644)
	plantFile(t, root, "sys/bus/pci/devices/0000:01:00.0/vendor", "0x1af4\n", 0o644)
	plantFile(t, root, "bin/journalctl", "#!/bin/sh\necho \"args $*\"\ncat <<'E'\nmsg joined token="+plantedToken+"\nnode said {\"psk\":\""+planted+"\"}\n"+plantedKey+"dhcp 10.9.8.7 at e2:4e:00:00:00:07\nE\n", 0o755)
	plantFile(t, root, "bin/dmesg", "#!/bin/sh\necho 'wlan0: psk="+planted+"'\n", 0o755)
	plantFile(t, root, "bin/ip", "#!/bin/sh\necho '[{\"ifname\":\"eth0\",\"address\":\"e2:4e:00:00:00:07\",\"ifalias\":\"password="+planted+"\",\"local\":\"10.9.8.7\",\"mtu\":1500}]'\n", 0o755)
	plantFile(t, root, "run/nicferry/agent/cache", "", 0o600)
	plantFile(t, root, "var/run/utmp", "", 0o600)
	plantDocker(t, filepath.Join(root, "var/run/docker.sock")) // agent.yaml is faulty, and names none
	plantController(t, filepath.Join(root, "run/n.sock"))
	return root
}

// runBundle collects from root and unpacks.
func runBundle(t *testing.T, root string, hide bool) (files map[string]string, said string) {
	t.Helper()
	var out, errs bytes.Buffer
	a := newApp(&out, &errs)
	a.server, a.timeout = "unix://"+filepath.Join(root, "run/n.sock"), 10*time.Second
	file := filepath.Join(t.TempDir(), "b.tar.gz")
	b := &bundleCommand{app: a, root: root, programs: filepath.Join(root, "bin"), file: file, format: "text", since: time.Hour, hide: hide}
	if err := b.run(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 || strings.TrimSpace(out.String()) != file {
		t.Errorf("%v, %v; said %q", info, err, &out)
	}
	packed, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	zip, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	files = map[string]string{}
	for r := tar.NewReader(zip); ; {
		h, err := r.Next()
		if err == io.EOF {
			return files, out.String() + errs.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "nicferry-bundle/")] = string(text)
	}
}

// S16: secrets planted in the configs, the identity, the store, the journal, the
// kernel's log and command line, Docker, the API and the interfaces are in no
// file of the archive and in nothing that the program says.
func TestS16_TheBundleHasNoSecret(t *testing.T) {
	t.Parallel()
	root := plantedMachine(t)
	files, said := runBundle(t, root, false)
	if strings.Contains(said, planted) {
		t.Errorf("the program says it: %s", said)
	}
	for name, text := range files {
		if strings.Contains(text, planted) || strings.Contains(name, planted) {
			t.Errorf("%s has it:\n%.3000s", name, text)
		}
	}
	// The test would be well with an empty archive too.
	for name, want := range map[string]string{
		"version.json": `"Go"`, "doctor.json": `"check"`, "controller/status.json": "kvm1/system", "controller/nodes.json": `"n1"`,
		"controller/claims.json": "clm-00000000000000f1", "controller/claims.txt": "clm-00000000000000c1", "config/agent.yaml": "node: n1",
		"config/nicferryd.yaml": "qemu+ssh://root:[redacted]@h/system", "journal/nicferryd.log": "--unit=nicferryd.service", "journal/nicferry-agent.log": "e2:4e:00:00:00:07",
		"files.txt": "-rw-------", "net/addr.json": `"mtu": 1500`, "net/rule6.json": "eth0", "pci.txt": "0000:01:00.0 - 0x1af4:-", "kernel/cmdline.txt": "quiet",
		"kernel/dmesg.txt": "wlan0", "docker/version.json": "24.0.7", "docker/info.json": "24.0.7", "docker/containers.json": `"nicferry.network": "lab"`,
		"index.json": "controller/claims.json", "os-release.txt": "ID=debian",
	} {
		if !strings.Contains(files[name], want) {
			t.Errorf("%s: want %q in it:\n%.2000s", name, want, files[name])
		}
	}
	for _, not := range []string{"api.token", "HttpProxy", "--password"} {
		if strings.Contains(files["docker/containers.json"]+files["docker/info.json"], not) {
			t.Errorf("what Docker says has %s", not)
		}
	}
	for name, text := range files {
		if strings.HasSuffix(name, ".json") && !json.Valid([]byte(text)) {
			t.Errorf("%s is no JSON:\n%.500s", name, text)
		}
	}
}

// With --hide-addresses no address of the machine is in it, and the same one has
// the same name in all files.
func TestBundleHidesAddresses(t *testing.T) {
	t.Parallel()
	files, _ := runBundle(t, plantedMachine(t), true)
	for name, text := range files {
		if strings.Contains(text, "10.9.8.7") || strings.Contains(text, "e2:4e:00:00:00:07") {
			t.Errorf("%s has an address:\n%.500s", name, text)
		}
	}
	var links []struct{ Address, Local string }
	if err := json.Unmarshal([]byte(files["net/addr.json"]), &links); err != nil || len(links) != 1 || !strings.HasPrefix(links[0].Address, "mac-") {
		t.Fatalf("%v: %s", err, files["net/addr.json"])
	}
	if want := fmt.Sprintf("dhcp %s at %s", links[0].Local, links[0].Address); !strings.Contains(files["journal/nicferryd.log"], want) {
		t.Errorf("want %q:\n%s", want, files["journal/nicferryd.log"])
	}
}

// On a machine where there is nothing, the index says what is missing and why.
func TestBundleOfNothing(t *testing.T) {
	t.Parallel()
	files, _ := runBundle(t, t.TempDir(), false)
	var index bundle.Index
	if err := json.Unmarshal([]byte(files["index.json"]), &index); err != nil {
		t.Fatal(err)
	}
	for _, e := range index.Items {
		if _, there := files[e.Name]; !there && e.Missing == "" {
			t.Errorf("%s is missing, and nothing says why", e.Name)
		}
	}
	if len(index.Items) < 25 {
		t.Errorf("%d items", len(index.Items))
	}
}

func TestBundleUsage(t *testing.T) {
	t.Parallel()
	there := filepath.Join(t.TempDir(), "there")
	if err := os.WriteFile(there, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	for code, all := range map[int][][]string{
		exitUsage:  {{"-o", "xml"}, {"--since", "0s"}, {"--since", "9999h"}, {"web"}},
		exitFailed: {{"--out", there}, {"--out", "/nonexistent/x"}},
	} {
		for _, args := range all {
			var out, errs bytes.Buffer
			if got := newApp(&out, &errs).run(t.Context(), append([]string{"bundle"}, args...)); got != code {
				t.Errorf("%q: exit code %d, want %d: %s", args, got, code, &errs)
			}
		}
	}
	if text, _ := os.ReadFile(there); string(text) != "mine" {
		t.Errorf("overwritten: %q", text)
	}
}
