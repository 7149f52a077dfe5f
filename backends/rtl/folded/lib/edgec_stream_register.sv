// One register in a stream: a word a cycle, one cycle later. Ready passes through from behind.
`default_nettype none
module edgec_stream_register #(
  parameter WIDTH = 8
) (
  input  wire clk,
  input  wire rst,
  input  wire in_valid,
  output wire in_ready,
  input  wire [WIDTH-1:0] in_data,
  output reg  out_valid,
  input  wire out_ready,
  output reg  [WIDTH-1:0] out_data
);
  wire take = in_valid && in_ready;
  assign in_ready = !out_valid || out_ready;
  always @(posedge clk) begin
    if (rst) out_valid <= 1'b0;
    else if (in_ready) out_valid <= in_valid;
    if (take) out_data <= in_data;
  end
endmodule
`default_nettype wire
