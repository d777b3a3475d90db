package protocols

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testgrpc "google.golang.org/grpc/interop/grpc_testing"

	"github.com/gatehouse-dev/gatehouse/test/bench/peer"
	"github.com/gatehouse-dev/gatehouse/test/feature"
)

// interop is where the gRPC project's interoperability programs come from.
const interop = "google.golang.org/grpc/interop/"

// TestGRPC has the client call its server through the gateway, in the clear and over TLS:
// all cases but those that ask for a cloud's credentials, or for a server of xDS.
func TestGRPC(t *testing.T) {
	client := build(t, interop+"client")
	backend := interopServer(t, build(t, interop+"server"))
	authority := feature.NewAuthority(t)
	chain, key := authority.Pair("localhost")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]wanted{
		"clear": {version: http2},
		"tls":   {version: http2, tls: true, cert: chain, key: key},
	} {
		w := feature.Start(t, objects(want, backend))
		flags := []string{ // that the machine is slow is no failure
			"--server_host=127.0.0.1", "--server_port=" + port(t, w, ""), "--soak_per_iteration_max_acceptable_latency_ms=60000", "--soak_overall_timeout_seconds=60",
		}
		if want.tls {
			flags = append(flags, "--server_host_override=localhost", "--use_tls", "--use_test_ca", "--ca_file="+ca)
		}
		for _, c := range []string{
			"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream", "timeout_on_sleeping_server",
			"cancel_after_begin", "cancel_after_first_response", "status_code_and_message", "special_status_message", "custom_metadata",
			"unimplemented_method", "unimplemented_service", "rpc_soak", "channel_soak",
		} {
			t.Run(name+"/"+c, func(t *testing.T) {
				if out, err := exec.CommandContext(t.Context(), client, append(flags, "--test_case="+c)...).CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// TestConversation has a client of gRPC in Go send and get small messages in turn on one
// stream: for each it measures the path by a PING, which is no flood.
func TestConversation(t *testing.T) {
	w := feature.Start(t, objects(wanted{version: http2}, interopServer(t, build(t, interop+"server"))))
	conn, err := grpc.NewClient("127.0.0.1:"+port(t, w, ""), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := testgrpc.NewTestServiceClient(conn).FullDuplexCall(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ask := &testgrpc.StreamingOutputCallRequest{ResponseParameters: []*testgrpc.ResponseParameters{{Size: 1}}}
	for i := range 3000 {
		if err := stream.Send(ask); err != nil {
			t.Fatalf("after %d messages: %v", i, err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatalf("after %d messages: %v", i, err)
		}
	}
}

// interopServer starts the server, in the clear, and returns where it is.
func interopServer(t *testing.T, program string) string {
	t.Helper()
	ports, err := peer.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	server, err := peer.Launch(t.TempDir(), peer.AnyCPU, nil, program, "--port="+strconv.Itoa(ports[0]))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	at := peer.Local(ports[0])
	if err := server.Opened(t.Context(), at); err != nil {
		t.Fatal(err)
	}
	return at
}
