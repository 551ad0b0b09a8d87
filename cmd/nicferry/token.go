package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/api/client"
	"github.com/nicferry/nicferry/nic"
)

// tokenCommand is "nicferry token".
func tokenCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Let machines join by tokens",
		Example: "  nicferry token create --node vm1",
		Args:    noSuchCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand((&tokenCreate{app: a}).command(), (&tokenList{app: a}).command(), (&tokenDelete{app: a}).command())
	return cmd
}

// tokenCreate is "nicferry token create".
type tokenCreate struct {
	*app
	node      string
	ttl       time.Duration
	addresses []string
	format    string
}

func (t *tokenCreate) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "create --node NODE",
		Short: "Make a token with which a machine may join once, as a node",
		Long: `Make a token with which a machine may join once, as the node that it is made
for. Nothing but the token goes to stdout, and what to type on the machine goes to
stderr. The controller keeps no copy: who loses a token makes another.

Whoever has the token can join as that node until it is used or its time is over.
A node that joins again leaves its older certificates void.`,
		Example: `  nicferry token create --node vm1
  nicferry token create --node vm1 --ttl 1h -o json`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&t.node, "node", "", "the `name` that the machine is to have; required")
	cmd.Flags().DurationVar(&t.ttl, "ttl", 10*time.Minute, "how long it is good, at most 24h")
	cmd.Flags().StringSliceVar(&t.addresses, "address", nil, "write this https:// `address` of the controller into the token; may be repeated")
	cmd.Flags().StringVarP(&t.format, "output", "o", "text", "the `format`: text, json, yaml")
	return cmd
}

func (t *tokenCreate) run(ctx context.Context) error {
	if err := checkFormat(t.format, "text"); err != nil {
		return err
	}
	switch {
	case t.node == "":
		return usagef("--node: want the name that the machine is to have, such as --node vm1")
	case t.ttl <= 0:
		return usagef("--ttl %s: want more than nothing, such as 10m", t.ttl)
	}
	var made api.NewToken
	err := t.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		made, err = c.CreateToken(ctx, api.TokenRequest{Node: t.node, TTL: nic.Duration(t.ttl), Controllers: t.addresses})
		return err
	})
	if err != nil {
		return asFlags(err, map[string]string{"body.node": "--node", "body.ttl": "--ttl", "body.controllers": "--address"})
	}
	if t.format != "text" {
		return encode(t.out, t.format, made)
	}
	addresses := made.Addresses
	if len(t.addresses) > 0 {
		addresses = t.addresses
	}
	fmt.Fprintf(t.err, "on %s, as root, within %s, with the token in place of TOKEN:\n  nicferry-agent join %s TOKEN\n",
		oneLine(made.Node), t.ttl, oneLine(strings.Join(addresses, ",")))
	_, err = fmt.Fprintln(t.out, oneLine(string(made.Text)))
	return err
}

// tokenList is "nicferry token list".
type tokenList struct {
	*app
	format string
}

func (t *tokenList) command() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens that have not been used",
		Long:    "List the tokens that have not been used, and for a day those that expired before\nthey were. Their secrets are nowhere to be seen.",
		Example: "  nicferry token list\n  nicferry token list -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return t.run(cmd.Context()) },
	}
	cmd.Flags().StringVarP(&t.format, "output", "o", "table", "the `format`: table, json, yaml")
	return cmd
}

func (t *tokenList) run(ctx context.Context) error {
	if err := checkFormat(t.format, "table"); err != nil {
		return err
	}
	var tokens []api.Token
	err := t.call(ctx, func(ctx context.Context, c *client.Client) (err error) {
		tokens, err = c.Tokens(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if t.format != "table" {
		return encode(t.out, t.format, api.NewList(tokens, ""))
	}
	w, now := newTable(t.out), t.now()
	fmt.Fprintln(w, "TOKEN\tNODE\tAGE\tEXPIRES-IN\tINSTANCES")
	for _, token := range tokens {
		left := "expired"
		if now.Before(token.Expires) {
			left = age(token.Expires, now)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", oneLine(token.ID), oneLine(token.Node), age(now, token.Created), left,
			orDash(oneLine(newNode(api.NodeView{Node: nic.Node{Instances: token.Instances}}).instances())))
	}
	return w.Flush()
}

// tokenDelete is "nicferry token delete".
type tokenDelete struct{ *app }

func (t *tokenDelete) command() *cobra.Command {
	return &cobra.Command{
		Use:     "delete ID",
		Short:   "Take a token back that has not been used",
		Example: "  nicferry token delete tok-2c711071831ded75",
		Args:    oneName("the id of one token, as nicferry token list shows it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.call(cmd.Context(), func(ctx context.Context, c *client.Client) error { return c.DeleteToken(ctx, args[0]) })
		},
	}
}
