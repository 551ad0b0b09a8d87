package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/conf"
	"github.com/nicferry/nicferry/internal/doctor"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/nic"
)

// doctorCommand is "nicferry doctor".
type doctorCommand struct {
	*app
	format    string
	config    string
	fix, undo bool
}

// errNotWell ends a run that found something to fail on, told already.
var errNotWell = errors.New("something here keeps nicferry from working; see the lines with FAIL")

func (d *doctorCommand) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Find what on this machine would keep NICs from containers, and mend it",
		Long: `Find what on this machine would keep NICs from containers, and mend it.

To be run where the containers are, as root. It needs no controller, but says
whether one answers. It looks at the kernel, the hot-plug slots, Docker, the
agent, and at who else would configure or rename a NIC that is plugged in.

--fix writes files below /etc that tell udev, systemd-networkd, NetworkManager,
ifupdown and cloud-init to leave nicferry's NICs alone, has udev and
systemd-networkd read them, and takes the addresses from NICs that were grabbed.
It says what it did. --undo takes the files away again.

Exit code 1 if a line says FAIL.`,
		Example: `  nicferry doctor
  nicferry doctor --fix
  nicferry doctor -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("want no arguments, got %q", args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return d.run(cmd.Context()) },
	}
	flags := cmd.Flags()
	flags.StringVarP(&d.format, "output", "o", "table", "the `format`: table, json, yaml")
	flags.StringVar(&d.config, "config", conf.AgentPath, "the agent's config `file`, for where Docker and the controller are")
	flags.BoolVar(&d.fix, "fix", false, "write what is missing and flush NICs that were grabbed, then look again")
	flags.BoolVar(&d.undo, "undo", false, "take away what --fix wrote")
	return cmd
}

func (d *doctorCommand) run(ctx context.Context) error {
	switch {
	case d.format != "table" && d.format != "json" && d.format != "yaml":
		return usagef("--output %q: want one of table, json, yaml", d.format)
	case d.fix && d.undo:
		return usagef("--fix and --undo: want one of them")
	}
	kernel, err := doctor.Open()
	if err != nil {
		return err
	}
	defer kernel.Close()
	m := doctor.Machine{Root: "/", DockerSocket: conf.DefaultDockerSocket, Kernel: kernel}
	agent, confErr := conf.LoadAgent(d.config)
	if confErr == nil {
		m.DockerSocket = agent.Docker.Socket
	}
	if d.fix || d.undo {
		if err := d.change(ctx, m); err != nil || d.undo {
			return err
		}
	}
	findings := append(doctor.Examine(ctx, m), d.controller(ctx, agent))
	if err := d.show(findings); err != nil {
		return err
	}
	if doctor.Worst(findings) == doctor.Fail {
		return errNotWell
	}
	return nil
}

// change mends or undoes, and tells on stderr what it did.
func (d *doctorCommand) change(ctx context.Context, m doctor.Machine) error {
	do := doctor.Mend
	if d.undo {
		do = doctor.Undo
	}
	did, err := do(ctx, m)
	for _, line := range did {
		fmt.Fprintln(d.err, clean(line))
	}
	if len(did) == 0 && err == nil {
		fmt.Fprintln(d.err, "nothing to do")
	}
	return err
}

// lateReport is longer than an agent that is well stays silent.
const lateReport = 2 * time.Minute

// controller says whether the controller answers, and when it last heard of
// this node's agent; agent is nil where its config cannot be read.
func (d *doctorCommand) controller(ctx context.Context, agent *conf.Agent) doctor.Finding {
	f := doctor.Finding{Check: "controller", State: doctor.Warn, Remedy: "containers keep their NICs; look at nicferryd and the way to it"}
	if agent == nil {
		f.Says, f.Remedy = "not asked: no agent's config at "+d.config, "nicferry config check --agent "+d.config
		return f
	}
	d.server = agent.Controllers[0]
	if agent.TLS != nil {
		return d.controllerOverTLS(ctx, f, agent)
	}
	var n nic.Node
	err := d.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		n, err = c.Node(ctx, agent.Node)
		return err
	})
	switch ago := d.now().Sub(n.LastSeen); {
	case err != nil:
		f.Says = oneLine(err.Error())
	case ago > lateReport:
		f.Says = fmt.Sprintf("answers, and last heard of node %q %s ago", agent.Node, age(d.now(), n.LastSeen))
		f.Remedy = "look at nicferry-agent's log"
	default:
		f.State, f.Remedy = doctor.OK, ""
		f.Says = fmt.Sprintf("answers, and heard of node %q %s ago", agent.Node, age(d.now(), n.LastSeen))
	}
	return f
}

// controllerOverTLS asks with the agent's own certificate, which may not ask
// about nodes.
func (d *doctorCommand) controllerOverTLS(ctx context.Context, f doctor.Finding, agent *conf.Agent) doctor.Finding {
	d.files = mtls.Files{CA: agent.TLS.CA, Cert: agent.TLS.Cert, Key: agent.TLS.Key}
	err := d.call(ctx, func(ctx context.Context, c *client.Client) error {
		_, err := c.Version(ctx)
		return err
	})
	if err != nil {
		f.Says = oneLine(err.Error())
		return f
	}
	f.State, f.Remedy = doctor.OK, ""
	f.Says = "answers the agent's certificate at " + d.server
	return f
}

func (d *doctorCommand) show(findings []doctor.Finding) error {
	if d.format != "table" {
		return encode(d.out, d.format, struct {
			State    doctor.State     `json:"state"`
			Findings []doctor.Finding `json:"findings"`
		}{doctor.Worst(findings), findings})
	}
	w := newTable(d.out)
	for _, f := range findings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.State, f.Check, oneLine(f.Says))
		if f.Remedy != "" {
			fmt.Fprintf(w, "\t\t→ %s\n", oneLine(f.Remedy))
		}
	}
	return w.Flush()
}
