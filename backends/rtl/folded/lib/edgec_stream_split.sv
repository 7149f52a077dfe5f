// A wide word leaves as RATIO narrow ones, the lowest first. The next word is taken while the last piece leaves.
`default_nettype none
module edgec_stream_split #(
  parameter PIECE = 8,
  parameter RATIO = 2,
  parameter BITS = 2
) (
  input  wire clk,
  input  wire rst,
  input  wire in_valid,
  output wire in_ready,
  input  wire [PIECE*RATIO-1:0] in_data,
  output wire out_valid,
  input  wire out_ready,
  output wire [PIECE-1:0] out_data
);
  localparam [31:0] ALL = RATIO;
  reg [PIECE*RATIO-1:0] held;
  reg [BITS-1:0] left; // pieces
  wire take = in_valid && in_ready;
  assign out_valid = left != {BITS{1'b0}};
  assign out_data = held[PIECE-1:0];
  assign in_ready = !out_valid || (left == {{(BITS-1){1'b0}}, 1'b1} && out_ready);
  always @(posedge clk) begin
    if (rst) left <= {BITS{1'b0}};
    else if (take) left <= ALL[BITS-1:0];
    else if (out_valid && out_ready) left <= left - 1'b1;
    if (take) held <= in_data;
    else if (out_valid && out_ready) held <= held >> PIECE;
  end
endmodule
`default_nettype wire
