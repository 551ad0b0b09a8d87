//go:build linux

package trust

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/lab"
	"github.com/nicferry/nicferry/internal/lab/fleet"
	"github.com/nicferry/nicferry/internal/store/boltstore"
)

// secrets are texts that may be in no output, by what they are.
type secrets map[string]string

// add notes a secret in all the forms in which it could slip out.
func (s secrets) add(what, secret string) {
	s[what] = secret
	s[what+", in base64"] = base64.StdEncoding.EncodeToString([]byte(secret))
	s[what+", in base64url"] = base64.RawURLEncoding.EncodeToString([]byte(secret))
	s[what+", in hex"] = hex.EncodeToString([]byte(secret))
}

// addKey notes each line of a PEM text's body.
func (s secrets) addKey(what, text string) (lines int) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "-----") {
			lines++
			s[fmt.Sprintf("%s, line %d", what, lines)] = line
		}
	}
	return lines
}

// addToken notes a token's text and its secret.
func (s secrets) addToken(t *testing.T, what, text string) {
	t.Helper()
	content, err := api.ParseToken(api.Secret(text))
	if err != nil {
		t.Fatal(err)
	}
	s.add(what, text)
	s.add("the secret of "+what, string(content.Secret))
}

// What the test hides where nobody but a container and its DHCP server is to
// look.
const (
	envSecret    = "env-hunter2-Xq9vZ"
	labelSecret  = "label-hunter2-Kp3wY"
	dhcpSecret   = "dhcp-hunter2-Rt7mB"
	argSecret    = "argument-hunter2-Lw5nD"
	keySomewhere = "PRIVATE KEY-----"
)

// S16: no secret is in any output: not in the logs of both daemons at their most
// talkative, in either format; in nothing that the command line prints, its
// errors, the API's document and the metrics included; and in no file but those
// that are for it, which are nobody else's to read. And each line of a log that
// is about a claim or a NIC names it.
func TestS16_NoSecretInAnyOutput(t *testing.T) {
	t.Parallel()
	const talkative = "log: {level: debug, format: json}\n"
	r := start(t, fleet.Options{Agents: 1, ByHand: true, Controller: talkative, Agent: talkative})
	vm1 := r.Agents[0]
	hidden := secrets{"a private key": keySomewhere}
	for what, secret := range map[string]string{"the environment": envSecret, "a label": labelSecret, "a DHCP option": dhcpSecret, "an argument": argSecret} {
		hidden.add(what, secret)
	}
	out := &outputs{t: t, all: map[string]string{}}
	r.do(r.StartController(t.Context()))
	r.joinWithSecrets(vm1, hidden, out)
	r.do(vm1.LAN.SetDHCPOptions(t.Context(), "224,"+dhcpSecret, "43,"+dhcpSecret))
	r.do(vm1.Start(t.Context()))
	r.live(vm1, "web")
	r.collect(vm1, out, "json")
	checkNamed(t, "the controller", r.Log())
	checkNamed(t, "the agent", vm1.Log())

	// The other format, by the flags.
	r.do(vm1.Stop(t.Context()))
	r.do(r.StopController(t.Context()))
	flags := []string{"--log-level", "debug", "--log-format", "text"}
	r.do(r.Daemons().Start(lab.Program{Name: fleet.Controller, Args: append([]string{r.Program("nicferryd"), "--config", r.ConfigPath()}, flags...)}))
	r.do(vm1.Daemons().Start(lab.Program{Name: fleet.Nicferry, Args: append([]string{r.Program("nicferry-agent"), "--config", vm1.ConfigPath()}, flags...)}))
	r.await("vm1 .*ready", func() (string, error) { return r.CLI(t.Context(), "get", "nodes") })
	r.live(vm1, "db")
	r.collect(vm1, out, "text")
	for what, text := range map[string]string{"the controller": r.Log(), "the agent": vm1.Log()} {
		r.match(text, "level=DEBUG msg=")
		if text == "" {
			t.Errorf("%s has logged nothing in text", what)
		}
	}

	r.do(vm1.Stop(t.Context()))
	r.do(r.StopController(t.Context()))
	r.addStored(hidden)
	hidden.addKey("the agent's key", read(t, filepath.Join(vm1.IdentityDir(), "key.pem")))
	r.checkFiles(vm1, hidden)
	for name, text := range out.all {
		for what, secret := range hidden {
			if i := strings.Index(text, secret); i >= 0 {
				t.Errorf("%s has %s: …%.200q…", name, what, text[max(0, i-60):])
			}
		}
	}
	if len(out.all) < 30 {
		t.Errorf("only %d outputs were searched", len(out.all))
	}
}

// outputs are what was printed, logged or served, by what it is.
type outputs struct {
	t   *testing.T
	all map[string]string
}

func (o *outputs) add(what, text string, err error) {
	if err != nil {
		text += "\n" + err.Error()
	}
	o.all[what] = text
}

// joinWithSecrets joins with a token that is used, tries what is refused, and leaves
// one that is not used.
func (r *rig) joinWithSecrets(vm1 *fleet.Agent, hidden secrets, out *outputs) {
	r.t.Helper()
	ctx := r.t.Context()
	used, err := vm1.Token(ctx)
	r.do(err)
	hidden.addToken(r.t, "a used token", used)
	text, err := vm1.JoinWith(ctx, used)
	r.do(err)
	out.add("join", text, nil)
	text, err = vm1.JoinWith(ctx, used, "--force")
	out.add("join once more", text, err)
	unused, err := vm1.Token(ctx)
	r.do(err)
	hidden.addToken(r.t, "an unused token", unused)
	for what, broken := range map[string]string{
		"cut": unused[:len(unused)-5], "longer": unused + "x", "twice": unused + unused, "spaces": strings.Replace(unused, "_", " ", 1), "path": "/etc/" + unused,
	} {
		text, err = vm1.JoinWith(ctx, broken)
		out.add("join with a token that is "+what, text, err)
	}
	// Where people put it by mistake.
	for _, args := range [][]string{{"get", "claims", unused}, {"token", "delete", unused}, {"token", "create", "--node", unused}, {"describe", "nodes", unused}} {
		text, err := r.CLI(ctx, args...)
		_ = text // it is what they typed that comes back, to them alone
		_ = err
	}
}

// live has a container with secrets of its own come, restart and go, and one that
// is refused.
func (r *rig) live(vm1 *fleet.Agent, name string) {
	r.t.Helper()
	ctx := r.t.Context()
	_, err := vm1.Docker(ctx, "run", "-d", "--init", "--network", "none", "--name", name, "--env", "DB_PASSWORD="+envSecret,
		"--label", "com.example.token="+labelSecret, "--label", "nicferry.network=lab", lab.ImageName, "sh", "-c", "sleep 1000; exit", argSecret)
	r.do(err)
	_, err = vm1.Docker(ctx, "run", "-d", "--init", "--network", "none", "--name", name+"-refused", "--env", "DB_PASSWORD="+envSecret,
		"--label", "nicferry.network=nowhere", lab.ImageName)
	r.do(err)
	_, err = vm1.Docker(ctx, "run", "-d", "--init", "--network", "none", "--name", name+"-fixed", "--label", "nicferry.network=fixed", lab.ImageName)
	r.do(err)
	r.address(vm1, name+"-fixed")
	r.await(name+" .*bound", func() (string, error) { return r.CLI(ctx, "get", "claims") })
	_, err = vm1.Docker(ctx, "rm", "-f", name+"-fixed")
	r.do(err)
}

// collect asks for all that anybody can ask for.
func (r *rig) collect(vm1 *fleet.Agent, out *outputs, when string) {
	r.t.Helper()
	ctx := r.t.Context()
	for _, kind := range []string{"claims", "nics", "nodes", "networks"} {
		for _, format := range []string{"table", "wide", "json", "yaml", "name"} {
			text, err := r.CLI(ctx, "get", kind, "-o", format)
			out.add(fmt.Sprintf("%s: get %s -o %s", when, kind, format), text, err)
		}
		names, err := r.CLI(ctx, "get", kind, "-o", "name")
		r.do(err)
		for name := range strings.FieldsSeq(names) {
			_, name, _ = strings.Cut(name, "/")
			text, err := r.CLI(ctx, "describe", kind, name)
			out.add(fmt.Sprintf("%s: describe %s %s", when, kind, name), text, err)
		}
	}
	for _, args := range [][]string{
		{"status"},
		{"status", "-o", "json"},
		{"audit"},
		{"audit", "-o", "json"},
		{"events"},
		{"events", "-o", "json"},
		{"token", "list"},
		{"token", "list", "-o", "json"},
		{"version", "-o", "json"},
		{"get", "claims", "nosuch"},
		{"get", "nosuch"},
		{"token", "create", "--node", "no such"},
		{"--controller", "unix:///nosuch", "get", "nodes"},
	} {
		text, err := r.CLI(ctx, args...)
		out.add(when+": "+strings.Join(args, " "), text, err)
	}
	bundle := r.File("bundle-" + when + ".tar.gz")
	if help, err := r.CLI(ctx, "--help"); err == nil && regexp.MustCompile(`(?m)^  bundle `).MatchString(help) {
		text, err := r.CLI(ctx, "bundle", "--out", bundle)
		out.add(when+": bundle", text, err)
		text, err = r.Machine.Run(ctx, "tar", "-xOzf", bundle)
		r.do(err)
		out.add(when+": what is in the bundle", text, nil)
		_ = os.Remove(bundle)
	}
	out.add(when+": metrics of the controller", r.metrics(r.Machine, controllerMetrics), nil)
	out.add(when+": metrics of the agent", r.metrics(vm1.Machine, agentMetrics), nil)
	_, text, err := get(ctx, "http://controller/openapi.json", func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", r.File("nicferryd.sock"))
	})
	r.do(err)
	out.add(when+": openapi.json", text, nil)
	if info, err := os.Stat(r.File("nicferryd.sock")); err != nil || info.Mode().Perm() != 0o660 {
		r.t.Errorf("the controller's socket: %v, %v", info.Mode(), err)
	}
	out.add(when+": the controller's log", r.Log(), nil)
	out.add(when+": the agent's log", vm1.Log(), nil)
}

// addStored notes the secrets of the store: of the authority's own records all
// that is a key.
func (r *rig) addStored(hidden secrets) {
	r.t.Helper()
	s, err := boltstore.Open(r.t.Context(), r.StorePath(), boltstore.Options{})
	r.do(err)
	defer s.Close()
	records, _, err := s.List(r.t.Context(), "trust/", "", 0)
	r.do(err)
	keys := 0
	for _, record := range records {
		var fields map[string]any
		r.do(json.Unmarshal(record.Value, &fields))
		for name, v := range fields {
			if text, ok := v.(string); ok && (strings.Contains(text, keySomewhere) || strings.EqualFold(name, "key")) {
				keys += hidden.addKey("the store's "+record.Key, text)
			}
		}
	}
	if keys == 0 {
		r.t.Error("no key of the controller's CA is in the store")
	}
}

// checkFiles wants no secret in what the daemons write, but for the key in the
// agent's identity and the CA's in the store, and that nobody else can read it.
func (r *rig) checkFiles(vm1 *fleet.Agent, hidden secrets) {
	r.t.Helper()
	own := []string{r.StorePath(), filepath.Join(vm1.IdentityDir(), "key.pem"), filepath.Join(vm1.IdentityDir(), "join.key")}
	modes := map[string]fs.FileMode{own[0]: 0o600, own[1]: 0o600, own[2]: 0o600, vm1.IdentityDir(): 0o700, vm1.File("agent"): 0o700}
	files := 0
	for path := range modes {
		if _, err := os.Stat(path); err != nil && filepath.Base(path) != "join.key" {
			r.t.Error(err)
		}
	}
	for _, dir := range []string{r.Machine.Dir(), vm1.IdentityDir(), vm1.File("agent")} {
		r.do(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if want, ok := modes[path]; ok && info.Mode().Perm() != want {
				r.t.Errorf("%s has mode %04o, want %04o", path, info.Mode().Perm(), want)
			}
			if !d.Type().IsRegular() || slices.Contains(own, path) {
				return nil
			}
			files++
			text := read(r.t, path)
			for what, secret := range hidden {
				if strings.Contains(text, secret) {
					r.t.Errorf("file %s has %s", path, what)
				}
			}
			return nil
		}))
	}
	if files < 5 {
		r.t.Errorf("only %d files were searched", files)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var (
	claimInText = regexp.MustCompile(`clm-[0-9a-f]{16}`)
	nicInText   = regexp.MustCompile(`nic-[0-9a-f]{16}`)
)

// checkNamed wants each line of a log in JSON that has the id of a claim or of a
// NIC anywhere to have it as claim and as nic, and each with a NIC to say whose
// it is. What only tells that a request came has the id in its path.
func checkNamed(t *testing.T, whose, log string) {
	t.Helper()
	steps := 0
	for line := range strings.Lines(log) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil {
			t.Errorf("%s logs a line that is no JSON: %.300s", whose, line)
			continue
		}
		if fields["msg"] == "request" || strings.HasPrefix(fmt.Sprint(fields["msg"]), "performing request") {
			continue
		}
		claim, _ := fields["claim"].(string)
		id, named := fields["nic"].(string)
		_, owned := fields["claim"]
		for what, x := range map[string]struct {
			in    *regexp.Regexp
			field string
		}{"claim": {claimInText, claim}, "nic": {nicInText, id}} {
			if found := x.in.FindString(line); found != "" && !strings.Contains(x.field, found) {
				t.Errorf("%s: a line about %s without its %s: %s", whose, found, what, line)
			}
		}
		if named && !owned {
			t.Errorf("%s: a line about a NIC without a claim: %s", whose, line)
		}
		if claim != "" {
			steps++
		}
	}
	if steps < 3 {
		t.Errorf("%s has logged only %d lines about claims", whose, steps)
	}
}
