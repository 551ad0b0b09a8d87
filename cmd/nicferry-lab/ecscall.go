//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nicferry/nicferry/internal/cloudsim/ecs"
	"github.com/nicferry/nicferry/internal/daemon"
)

// ecsTime bounds one call, longestAnswer what it may answer.
const (
	ecsTime       = 30 * time.Second
	longestAnswer = 16 << 20
)

// ecsCall is a client for people: the vendor's own is no package of Debian's.
func ecsCall() *cobra.Command {
	return &cobra.Command{
		Use:   "ecs ACTION [NAME=VALUE ...]",
		Short: "Call an API of Alibaba Cloud's ECS or VPC, and show the answer",
		Long: `ecs signs a call with the key in ALIBABA_CLOUD_ACCESS_KEY_ID and
ALIBABA_CLOUD_ACCESS_KEY_SECRET, sends it to ECS_ENDPOINT for the region
ALIBABA_CLOUD_REGION_ID, and shows the answer. It exits 1 where that is a refusal.
nicferry-lab cloud --api ecs -o env writes these variables.`,
		Example: `  nicferry-lab ecs DescribeNetworkInterfaces Status=InUse MaxResults=10
  nicferry-lab ecs CreateNetworkInterface VSwitchId=vsw-1 SecurityGroupIds.1=sg-1`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return daemon.UsageError{Err: errors.New("want an action, such as DescribeInstances")}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), ecsTime)
			defer cancel()
			return callECS(ctx, cmd.OutOrStdout(), args[0], args[1:])
		},
	}
}

// ecsParameters are those of a call, signed.
func ecsParameters(action string, pairs []string) (url.Values, error) {
	version, known := ecs.Version(action)
	if !known {
		return nil, daemon.UsageError{Err: fmt.Errorf("%s: it is no action that the cloud knows", action)}
	}
	v := url.Values{
		"Action": {action}, "Version": {version}, "Format": {"JSON"}, "RegionId": {os.Getenv("ALIBABA_CLOUD_REGION_ID")},
		"AccessKeyId": {os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID")}, "SignatureMethod": {"HMAC-SHA1"}, "SignatureVersion": {"1.0"},
		"SignatureNonce": {rand.Text()}, "Timestamp": {time.Now().UTC().Format("2006-01-02T15:04:05Z")},
	}
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return nil, daemon.UsageError{Err: fmt.Errorf("%q: want NAME=VALUE", pair)}
		}
		v.Set(name, value)
	}
	v.Set("Signature", ecs.Sign(os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET"), http.MethodPost, v))
	return v, nil
}

func callECS(ctx context.Context, out io.Writer, action string, pairs []string) error {
	endpoint := os.Getenv("ECS_ENDPOINT")
	if endpoint == "" {
		return daemon.UsageError{Err: errors.New("ECS_ENDPOINT is not set: it is the URL that the API is at")}
	}
	v, err := ecsParameters(action, pairs)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(v.Encode()))
	if err != nil {
		return fmt.Errorf("ECS_ENDPOINT: %w", err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	defer got.Body.Close()
	body, err := io.ReadAll(io.LimitReader(got.Body, longestAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	var said struct{ Code, Message string }
	if got.StatusCode >= http.StatusMultipleChoices && json.Unmarshal(body, &said) == nil && said.Code != "" {
		return fmt.Errorf("%s: %d %s: %s", action, got.StatusCode, said.Code, said.Message)
	}
	var text bytes.Buffer
	if json.Indent(&text, body, "", "  ") != nil {
		return fmt.Errorf("%s: %d, and no JSON: %q", action, got.StatusCode, body)
	}
	fmt.Fprintln(out, text.String())
	return nil
}
