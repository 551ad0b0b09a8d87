package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/cmd/manual"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/internal/mtls"
	"github.com/nicferry/nicferry/internal/version"
)

// app is one run of the program and what it touches of the world.
type app struct {
	out, err io.Writer
	getenv   func(string) string
	now      func() time.Time
	// live: err is a terminal, on which a line can be written anew.
	live bool

	server  string
	files   mtls.Files
	timeout time.Duration
	started bool // the arguments were understood
}

// run carries out one command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := a.exitCode(ctx, err)
	for line := range cleanLines(err.Error()) {
		fmt.Fprintln(a.err, "nicferry:", line)
	}
	if code == exitUsage && !isFaults(err) {
		fmt.Fprintf(a.err, "See '%s --help'.\n", cmd.CommandPath())
	}
	return code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "nicferry",
		Short: "Show and move the network cards that containers have of their own",
		Long: `Show the network cards that containers have of their own, and move them with
their containers from node to node.

Exit codes: 0 ok, 1 failed, 2 usage or a faulty config, 3 not found, 4 refused,
5 timed out, 130 interrupted.`,
		Example: `  nicferry get claims
  nicferry describe claims web
  NICFERRY_CONTROLLER=unix:///tmp/n.sock nicferry get nics -o wide
  nicferry --controller https://10.0.0.1:7460 --ca ca.pem --cert admin.pem --key admin.key get nodes`,
		Version:       version.Get().Version,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noSuchCommand,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			a.started = true
			return a.checkFlags()
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetOut(a.out)
	root.SetErr(a.err)
	flags := root.PersistentFlags()
	flags.StringVar(&a.server, "controller", a.env("CONTROLLER", a.env("SERVER", client.DefaultAddress)),
		"the controller's `address`, unix://PATH or https://HOST:PORT; also by NICFERRY_CONTROLLER")
	flags.StringVar(&a.files.CA, "ca", a.env("CA", ""), "the `file` with what signs the controller's certificate, for https; also by NICFERRY_CA")
	flags.StringVar(&a.files.Cert, "cert", a.env("CERT", ""), "the `file` with an admin's certificate, for https; also by NICFERRY_CERT")
	flags.StringVar(&a.files.Key, "key", a.env("KEY", ""), "the `file` with its key, for https; also by NICFERRY_KEY")
	flags.StringVar(&a.server, "server", a.server, "the older name of --controller")
	flags.Lookup("server").Hidden = true
	flags.DurationVar(&a.timeout, "timeout", 10*time.Second, "give up after this `time`")
	root.AddCommand(
		(&getCommand{app: a}).command(),
		(&describeCommand{app: a}).command(),
		(&eventsCommand{app: a}).command(),
		(&statusCommand{app: a}).command(),
		(&planCommand{app: a}).command(),
		(&runCommand{app: a}).command(),
		(&migrateCommand{app: a}).command(),
		(&moveNICCommand{migrateCommand{app: a}}).command(),
		(&drainCommand{app: a}).command(),
		(&promoteCommand{nodeOrder: nodeOrder{app: a}}).command(),
		(&auditCommand{app: a}).command(),
		nodeCommand(a),
		tokenCommand(a),
		certificateCommand(a),
		(&doctorCommand{app: a}).command(),
		(&bundleCommand{app: a, root: "/"}).command(),
		configCommand(a),
		(&versionCommand{app: a}).command(),
	)
	addExamples(root)
	manual.Add(root, "1")
	return root
}

// env is a setting of the environment, or what holds without it.
func (a *app) env(name, otherwise string) string {
	return cmp.Or(a.getenv("NICFERRY_"+name), otherwise)
}

func (a *app) checkFlags() error {
	if a.timeout <= 0 {
		return usagef("--timeout %s: want more than nothing, such as 10s", a.timeout)
	}
	return nil
}

// open makes a client of the controller.
func (a *app) open() (*client.Client, error) {
	c, err := client.Open(client.Options{Addresses: []string{a.server}, TLS: a.files})
	switch {
	case err != nil && strings.HasPrefix(a.server, "https://") && (a.files.CA == "" || a.files.Cert == "" || a.files.Key == ""):
		return nil, usagef("--controller: %s: --ca, --cert and --key; beside the controller, nicferry certificate create makes them", err)
	case err != nil:
		return nil, usagef("--controller: %s", err)
	}
	return c, nil
}

// call runs f with a client of the controller and the time that the user gives.
func (a *app) call(ctx context.Context, f func(context.Context, *client.Client) error) error {
	c, err := a.open()
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	err = f(ctx, c)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; only root and the socket's group may use it", err)
	}
	return err
}

// addExamples gives cobra's own commands what ours have: an example each.
func addExamples(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.Example = "  nicferry help get"
		case "completion":
			cmd.Example = "  nicferry completion bash > /etc/bash_completion.d/nicferry"
			for _, shell := range cmd.Commands() {
				shell.Example = "  nicferry completion " + shell.Name()
			}
		}
	}
}
