// A bank of BITS weight bits, written in words of 32 from the word address BASE on. It has no reset: weights survive.
`default_nettype none
module edgec_bank #(
  parameter BITS = 32,
  parameter BASE = 0,
  parameter ADDRESS_BITS = 8
) (
  input  wire clk,
  input  wire wr_en,
  input  wire [ADDRESS_BITS-1:0] wr_addr,
  input  wire [31:0] wr_data,
  output reg  [BITS-1:0] q
);
  localparam WORDS = (BITS + 31) / 32;
  genvar i;
  generate
    for (i = 0; i < WORDS; i = i + 1) begin : words
      localparam LOW = 32 * i;
      localparam WIDTH = (BITS - LOW < 32) ? BITS - LOW : 32;
      localparam [31:0] ADDRESS = BASE + i;
      always @(posedge clk)
        if (wr_en && wr_addr == ADDRESS[ADDRESS_BITS-1:0]) q[LOW +: WIDTH] <= wr_data[WIDTH-1:0];
    end
  endgenerate
  wire unused = &{1'b0, wr_data};
endmodule
`default_nettype wire
