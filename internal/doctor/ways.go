package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

const (
	// skewed is a difference of the clocks that shows in logs and certificates;
	// the controller's is told to the second.
	skewed = 30 * time.Second
	// lateReport is longer than an agent that is well stays silent.
	lateReport = 2 * time.Minute
)

// keepsOn is what is true while the controller is away.
const keepsOn = "containers keep their NICs; look at nicferryd and the way to it: "

// checkWays asks the controller at each address that the agent has of it.
func checkWays(ctx context.Context, v *visit) {
	id, ok := v.identity()
	switch {
	case !ok && v.agentErr == nil:
		v.warn("nicferry-agent join ADDRESS TOKEN", "not asked: nothing says where the controller is")
		return
	case !ok:
		v.warn("nicferry config check --agent "+v.AgentConfig, "not asked: no agent's config at %s", v.AgentConfig)
		return
	}
	for _, address := range id.controllers {
		v.askController(ctx, address, id)
	}
}

func (v *visit) askController(ctx context.Context, address string, id identity) {
	w, err := v.wayTo(address, id.files)
	if err != nil {
		v.warn("nicferry config check --agent "+v.AgentConfig, "%s is not asked: %s", address, short(err))
		return
	}
	var version api.Version
	a, err := v.ask(ctx, w, "/v1/version", &version)
	switch {
	case errors.Is(err, errNotAsked):
		v.warn("", "cannot look: %s is not asked here", address)
	case err != nil && w.socket != "":
		v.warn(keepsOn+"systemctl status nicferryd", "%s: %s", address, short(err))
	case isForeign(err) && id.joined:
		v.fail(joinAnew(id), "%s: %s", address, short(err))
	case err != nil:
		v.warn(keepsOn+"openssl s_client -connect "+w.host, "%s: %s", address, short(err))
	case a.status == http.StatusForbidden && a.why != "" && id.joined:
		v.fail(joinAnew(id), "%s refuses the agent: %s", address, a.why)
	case a.status == http.StatusForbidden && a.why != "":
		v.fail("journalctl -u nicferryd", "%s refuses the agent: %s", address, a.why)
	case a.status != http.StatusOK:
		v.warn("journalctl -u nicferryd", "%s answers with %d to the agent's certificate", address, a.status)
	default:
		v.ok("%s answers, with version %.40s", address, or(version.Version, "unknown"))
		v.checkSkew(a.date)
		v.checkVersions(version.Version, v.Version, "this program")
		if w.socket != "" {
			v.lastSeen(ctx, w, version.Version, id.node)
		}
	}
}

// isForeign says whether another CA than the one that is known signs what answers.
func isForeign(err error) bool {
	_, foreign := errors.AsType[x509.UnknownAuthorityError](err)
	return foreign
}

// wayTo is the way to one address.
func (v *visit) wayTo(address string, files mtls.Files) (way, error) {
	if path, ok := strings.CutPrefix(address, "unix://"); ok {
		return way{name: "the controller", socket: path}, nil
	}
	files = mtls.Files{CA: v.path(files.CA), Cert: v.path(files.Cert), Key: v.path(files.Key)}
	client, err := mtls.NewClient(files, slog.New(slog.DiscardHandler))
	return way{name: "the controller", host: hostPort(address), tls: client}, err
}

// checkSkew holds the clocks against each other.
func (v *visit) checkSkew(theirs time.Time) {
	if theirs.IsZero() {
		return
	}
	if d := v.Now().Sub(theirs).Round(time.Second); d.Abs() > skewed {
		v.warn("timedatectl set-ntp true, on both machines", "this machine's clock is %s from the controller's: certificates may be refused", d)
	}
}

// checkVersions wants no more than one release between two parts.
func (v *visit) checkVersions(controller, other, what string) {
	if n, ok := apart(controller, other); ok && n > 1 {
		v.warn("install the same version of nicferry on both machines", "the controller is %.40s and %s %.40s: more than one version apart, which nobody has tried", controller, what, other)
	}
}

// lastSeen asks when the controller last heard of the node.
func (v *visit) lastSeen(ctx context.Context, w way, version, node string) {
	var n nic.Node
	a, err := v.ask(ctx, w, "/v1/nodes/"+url.PathEscape(node), &n)
	ago := v.Now().Sub(n.LastSeen).Round(time.Second)
	switch {
	case err != nil:
		v.warn("", "cannot look when it last heard of node %q: %s", node, short(err))
	case a.status == http.StatusNotFound:
		v.warn("systemctl start nicferry-agent", "the controller has never heard of node %q", node)
	case a.status != http.StatusOK:
		v.warn("run it as root", "cannot look when it last heard of node %q: its answer is %d", node, a.status)
	case ago > lateReport:
		v.warn("journalctl -u nicferry-agent", "the controller last heard of node %q %s ago", node, ago)
	default:
		v.ok("it heard of node %q %s ago", node, max(ago, 0))
		v.checkVersions(version, n.Inventory.AgentVersion, "the agent")
	}
}

// apart counts the minor versions between two; false where one is no release.
// Different major ones are far apart.
func apart(a, b string) (int, bool) {
	majorA, minorA, okA := release(a)
	majorB, minorB, okB := release(b)
	switch {
	case !okA || !okB:
		return 0, false
	case majorA != majorB:
		return 1000, true
	}
	return max(minorA-minorB, minorB-minorA), true
}

// release reads v1.2.3.
func release(version string) (major, minor int, ok bool) {
	f := strings.Split(strings.TrimPrefix(version, "v"), ".")
	if len(f) < 2 || !strings.HasPrefix(version, "v") {
		return 0, 0, false
	}
	major, err := strconv.Atoi(f[0])
	minor, minorErr := strconv.Atoi(f[1])
	return major, minor, err == nil && minorErr == nil
}
