// A queue of DEPTH words in a memory with one read and one write port, and one more in the output register.
`default_nettype none
module edgec_stream_fifo #(
  parameter WIDTH = 8,
  parameter DEPTH = 2,
  parameter BITS = 2 // of 0 .. DEPTH
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
  localparam [31:0] FULL = DEPTH;
  localparam ADDRESS_BITS = DEPTH > 1 ? $clog2(DEPTH) : 1;
  reg [WIDTH-1:0] memory [0:DEPTH-1];
  reg [BITS-1:0] stored;
  wire [ADDRESS_BITS-1:0] put_at, get_at;
  wire put_last, get_last;
  wire put = in_valid && in_ready;
  wire get = stored != {BITS{1'b0}} && (!out_valid || out_ready);
  wire unused = &{1'b0, put_last, get_last};
  assign in_ready = stored != FULL[BITS-1:0];
  edgec_count #(.N(DEPTH), .BITS(ADDRESS_BITS)) puts
    (.clk(clk), .rst(rst), .step(put), .count(put_at), .last(put_last));
  edgec_count #(.N(DEPTH), .BITS(ADDRESS_BITS)) gets
    (.clk(clk), .rst(rst), .step(get), .count(get_at), .last(get_last));
  always @(posedge clk) begin
    if (rst) stored <= {BITS{1'b0}};
    else if (put && !get) stored <= stored + 1'b1;
    else if (get && !put) stored <= stored - 1'b1;
    if (rst) out_valid <= 1'b0;
    else if (get) out_valid <= 1'b1;
    else if (out_ready) out_valid <= 1'b0;
    if (put) memory[put_at] <= in_data;
    if (get) out_data <= memory[get_at];
  end
endmodule
`default_nettype wire
